import Assembly

/// Text to bytes, in Intel syntax: what the disassembler prints, and what GNU as takes besides.
///
/// Names, operands and encodings are those of the rows; of several that say the same the shortest is
/// taken, and among those of one length the first row's. What is made is decoded again, so that it is
/// never the bytes of another row.
///
/// - SeeAlso: Using as, "Intel Syntax".
public struct X86Assembler: InsnAssembler {
  /// An assembler.
  public init() {}

  /// `EM_X86_64`.
  public var elfMachine: UInt16 { 62 }
  /// `.align 16` is sixteen bytes here.
  public var alignsByPower: Bool { false }
  /// `.word` is two bytes.
  public var wordSize: Int { 2 }

  /// Assembles a text.
  ///
  /// - SeeAlso: `Assembler.assemble`.
  public static func assemble(
    _ text: String, origin: UInt64 = 0x10000
  ) throws(AssemblyError) -> AssembledImage {
    try Assembler.assemble(text, X86Assembler(), origin: origin)
  }

  /// The manual's no-ops of one to nine bytes.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'NOP - No Operation'.
  public func filler(_ count: Int) -> [UInt8] {
    let nops: [[UInt8]] = [
      [0x90], [0x66, 0x90], [0x0f, 0x1f, 0], [0x0f, 0x1f, 0x40, 0], [0x0f, 0x1f, 0x44, 0, 0],
      [0x66, 0x0f, 0x1f, 0x44, 0, 0], [0x0f, 0x1f, 0x80, 0, 0, 0, 0],
      [0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0], [0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0],
    ]
    var bytes: [UInt8] = []
    while bytes.count < count { bytes += nops[min(count - bytes.count, nops.count) - 1] }
    return bytes
  }

  /// `.intel_syntax noprefix` says what is so anyway.
  public mutating func directive(
    _ name: String, _ operands: [AssemblyReader]
  ) throws(AssemblyProblem) -> Bool {
    guard name == ".intel_syntax" else { return false }
    guard operands.count == 1, operands[0].next?.name == "noprefix", operands[0].afterNext == nil
    else {
      throw AssemblyProblem("registers have no prefix: 'noprefix'", column: operands.first?.column)
    }
    return true
  }

  // MARK: Instructions

  /// The rows of each name, by their indices.
  private static let rows: [String: [Int]] = {
    var rows: [String: [Int]] = [:]
    for (index, row) in Encodings.allRows.enumerated() {
      rows[row.mnemonic, default: []].append(index)
    }
    // An immediate of 64 bits is one of `mov` too.
    rows["mov", default: []] += rows["movabs", default: []].filter {
      Encodings.allRows[$0].operands.contains { $0.place == .immediate }
    }
    for (family, more) in [("j", true), ("set", false), ("cmov", false)] {
      for (other, name) in Self.conditions { rows[family + other] = rows[family + name] }
      if more { rows["jecxz"] = rows["jrcxz"] }
    }
    for (other, name) in Self.others { rows[other] = rows[name] }
    // Strings' operands may say the size: `movs byte ptr [rdi], byte ptr [rsi]`.
    for op in [Op.movs, .cmps, .stos, .lods, .scas] {
      rows["\(op)"] = Encodings.allRows.indices.filter { Encodings.allRows[$0].op == op }
    }
    return rows
  }()

  /// Other names of conditions.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'EFLAGS Condition Codes'.
  private static let conditions = [
    "c": "b", "nae": "b", "nc": "ae", "nb": "ae", "z": "e", "nz": "ne", "na": "be", "nbe": "a",
    "pe": "p", "po": "np", "nge": "l", "nl": "ge", "ng": "le", "nle": "g",
  ]
  private static let others = [
    "fwait": "wait", "loopz": "loope", "loopnz": "loopne", "repz": "repe", "icebp": "int1",
    "retn": "ret", "xlat": "xlatb",
  ]
  private static let prefixes: [String: UInt8] = [
    "lock": 0xf0, "rep": 0xf3, "repe": 0xf3, "repz": 0xf3, "repne": 0xf2, "repnz": 0xf2,
  ]

  /// Assembles an instruction.
  public func assemble(
    _ statement: AssemblyStatement
  ) throws(AssemblyProblem) -> AssemblyFragment {
    var name = statement.mnemonic.lowercased()
    var readers = statement.operands
    var column = statement.column
    var prefix: UInt8 = 0
    if let found = Self.prefixes[name] {
      guard let first = readers.first, let word = first.next, let next = word.name else {
        throw AssemblyProblem("an instruction is missing behind '\(name)'", column: column)
      }
      prefix = found
      name = next.lowercased()
      column = word.column
      let rest = first.tokens.dropFirst()
      let end = (first.tokens.last?.column ?? column) + 1
      readers[0] = AssemblyReader(rest, end: end)
      if rest.isEmpty, readers.count == 1 { readers = [] }
    }
    guard let rows = Self.rows[name] else {
      throw AssemblyProblem("unknown instruction '\(name)'", column: column)
    }
    var operands: [AsmOperand] = []
    for reader in readers { operands.append(try AsmOperandReader.read(reader)) }
    // These are the same both ways round, and rows have the one.
    if name == "xchg" || name == "test", operands.count == 2, operands[1].memory != nil {
      operands.swapAt(0, 1)
    }
    var forms: [AsmForm] = []
    for index in rows {
      forms += AsmForm.all(of: index, operands, prefix: prefix, short: name == "jecxz")
      if name == "xchg", operands.count == 2, operands[0].memory == nil {
        forms += AsmForm.all(of: index, operands.reversed(), prefix: prefix, short: false)
      }
    }
    try Self.checkSizes(forms, operands, column)
    return try Self.fragment(forms, name, column)
  }

  /// Refuses memory whose size nothing says.
  private static func checkSizes(
    _ forms: [AsmForm], _ operands: [AsmOperand], _ column: Int
  ) throws(AssemblyProblem) {
    guard let memory = operands.lazy.compactMap(\.memory).first, memory.size == 0,
      Set(forms.map(\.memorySize)).count > 1
    else { return }
    throw AssemblyProblem(
      "'byte ptr', 'dword ptr' or the like is missing: the size of this", column: memory.column)
  }

  private static func fragment(
    _ forms: [AsmForm], _ name: String, _ column: Int
  ) throws(AssemblyProblem) -> AssemblyFragment {
    // The sort keeps the order of what is equally long.
    let sorted = forms.enumerated().sorted {
      ($0.element.size, $0.offset) < ($1.element.size, $1.offset)
    }.map(\.element)
    guard !sorted.isEmpty else {
      throw AssemblyProblem("'\(name)' has no form with these operands", column: column)
    }
    if sorted.allSatisfy({ !$0.needsPlace }) {
      var problem: AssemblyProblem?
      for form in sorted {
        do throws(AssemblyProblem) {
          return AssemblyFragment(try form.encode(nil))
        } catch {
          problem = error
        }
      }
      throw problem ?? AssemblyProblem("no such form", column: column)
    }
    var usable: [AssemblyFragment.Form] = []
    for form in sorted {
      if !form.needsPlace, (try? form.encode(nil)) == nil { continue }
      usable.append(
        AssemblyFragment.Form(form.size) { (place) throws(AssemblyProblem) -> [UInt8] in
          try form.encode(place)
        })
    }
    guard !usable.isEmpty else {
      throw AssemblyProblem("'\(name)' has no form with these operands", column: column)
    }
    return AssemblyFragment(usable)
  }
}
