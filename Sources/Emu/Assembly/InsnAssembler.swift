/// One statement of a text: an instruction.
public struct AssemblyStatement {
  /// The instruction's name.
  public let mnemonic: String
  /// The byte of the line where it begins, from 1.
  public let column: Int
  /// Its operands, which commas part.
  public let operands: [AssemblyReader]

  /// A statement of these parts.
  public init(mnemonic: String, column: Int, operands: [AssemblyReader]) {
    self.mnemonic = mnemonic
    self.column = column
    self.operands = operands
  }
}

/// What a statement becomes: bytes whose number may depend on how far away what it names is.
public struct AssemblyFragment {
  /// One way to write it.
  public struct Form {
    /// Bytes.
    public let size: Int
    /// The bytes at a place; throws where they can't say it.
    public let encode: (AssemblyPlace) throws(AssemblyProblem) -> [UInt8]

    /// A form of `size` bytes.
    public init(
      _ size: Int, _ encode: @escaping (AssemblyPlace) throws(AssemblyProblem) -> [UInt8]
    ) {
      self.size = size
      self.encode = encode
    }
  }

  /// The ways, the shortest first; at least one.
  ///
  /// The first that does is taken; where none does, the last one's problem is reported.
  public let forms: [Form]

  /// A fragment with these forms.
  public init(_ forms: [Form]) { self.forms = forms }
  /// Bytes that depend on nothing.
  public init(_ bytes: [UInt8]) { forms = [Form(bytes.count) { _ in bytes }] }
}

/// What the assembler asks of an instruction set: names and operands to bytes.
///
/// A value for one text: what directives switch is kept in it.
public protocol InsnAssembler {
  /// The machine in the ELF header.
  var elfMachine: UInt16 { get }
  /// Whether `.align` takes a power of two, as `.p2align`; else bytes, as `.balign`.
  var alignsByPower: Bool { get }
  /// Bytes of `.word`.
  var wordSize: Int { get }
  /// Assembles an instruction.
  func assemble(_ statement: AssemblyStatement) throws(AssemblyProblem) -> AssemblyFragment
  /// Obeys a directive of the instruction set's own.
  ///
  /// - Returns: `false` for one that it does not know.
  mutating func directive(
    _ name: String, _ operands: [AssemblyReader]
  ) throws(AssemblyProblem) -> Bool
  /// Instructions without effect that fill `count` bytes of text.
  func filler(_ count: Int) -> [UInt8]
}
