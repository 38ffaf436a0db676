import Assembly

/// Text to `Insn` to bytes: what the disassembler prints, and what GNU as takes besides.
///
/// Names, operands and encodings are those of the rows and of ``Aliases``; only macros that become
/// several instructions are in `Assemble+Macros`.
///
/// - SeeAlso: RISC-V Assembly Programmer's Manual; Using as, "RISC-V Dependent Features".
public struct RISCVAssembler: InsnAssembler {
  /// Instructions that have a compressed form are written so (`.option rvc`).
  public var isCompressing: Bool
  private var saved: [Bool] = []

  /// An assembler for harts with or without C.
  public init(compressed: Bool = true) { isCompressing = compressed }

  /// `EM_RISCV`.
  public var elfMachine: UInt16 { 243 }
  /// `.align 2` is four bytes.
  public var alignsByPower: Bool { true }
  /// `.word` is four bytes.
  public var wordSize: Int { 4 }

  /// Assembles a text.
  ///
  /// - SeeAlso: `Assembler.assemble`.
  public static func assemble(
    _ text: String, compressed: Bool = true, origin: UInt64 = 0x10000
  ) throws(AssemblyError) -> AssembledImage {
    try Assembler.assemble(text, RISCVAssembler(compressed: compressed), origin: origin)
  }

  /// `nop` and `c.nop`; a zero where there is an odd byte.
  public func filler(_ count: Int) -> [UInt8] {
    [UInt8](repeating: 0, count: count & 1) + (count & 2 != 0 ? [0x01, 0x00] : [])
      + (0..<(count / 4)).flatMap { _ in [0x13, 0, 0, 0] as [UInt8] }
  }

  /// `.option`.
  public mutating func directive(
    _ name: String, _ operands: [AssemblyReader]
  ) throws(AssemblyProblem) -> Bool {
    guard name == ".option" else { return false }
    switch operands.first?.next?.name {
    case "rvc": isCompressing = true
    case "norvc": isCompressing = false
    case "push": saved.append(isCompressing)
    case "pop":
      guard let last = saved.popLast() else {
        throw AssemblyProblem(".option pop without push", column: operands.first?.column)
      }
      isCompressing = last
    // Nothing is left to a linker here.
    case "relax", "norelax", "pic", "nopic": break
    default:
      throw AssemblyProblem(
        "rvc, norvc, push or pop is wanted", column: operands.first?.column)
    }
    return true
  }

  /// Assembles an instruction.
  public func assemble(
    _ statement: AssemblyStatement
  ) throws(AssemblyProblem) -> AssemblyFragment {
    if let fragment = try macro(statement) { return fragment }
    var name = statement.mnemonic
    var order: UInt8 = 0
    for (number, suffix) in [".rl", ".aq", ".aqrl"].enumerated() where name.hasSuffix(suffix) {
      let plain = String(name.dropLast(suffix.count))
      if Self.forms[plain]?.first?.row.format == .amo { (name, order) = (plain, UInt8(number + 1)) }
    }
    guard let forms = Self.forms[name] else {
      throw AssemblyProblem("unknown instruction '\(name)'", column: statement.column)
    }
    var best: (passed: Int, problem: AssemblyProblem)?
    for form in forms {
      var parser = OperandParser(form)
      parser.insn.rm |= order
      do throws(AssemblyProblem) {
        try parser.parse(statement)
        return fragment(parser, form)
      } catch {
        if best.map({ parser.passed > $0.passed }) ?? true { best = (parser.passed, error) }
      }
    }
    throw best?.problem ?? AssemblyProblem("no such form", column: statement.column)
  }

  /// A name with one of its rows.
  struct Form {
    var syntax: Syntax
    var row: Row
  }

  /// All forms of each name: those with the most particular operands first.
  static let forms: [String: [Form]] = {
    var forms: [String: [Form]] = [:]
    func add(_ syntax: Syntax) {
      let rows = Encodings.allRows.filter {
        $0.op == syntax.op
          && $0.length == (syntax.length == 0 ? 4 : syntax.length)
          && (syntax.length == 4 || !$0.mnemonic.hasPrefix("c.") || syntax.name == $0.mnemonic
            || syntax.name == $0.mnemonic + "64")
      }
      for row in rows { forms[syntax.name, default: []].append(Form(syntax: syntax, row: row)) }
    }
    // Other names of compressed instructions are those of rows.
    for alias in Aliases.printed where alias.length != 2 || alias.name.hasSuffix("64") {
      add(alias)
    }
    for row in Encodings.allRows {
      let syntax = Syntax(
        name: row.mnemonic, op: row.op, operands: row.operands, length: row.length)
      forms[row.mnemonic, default: []].append(Form(syntax: syntax, row: row))
    }
    for alias in Aliases.taken { add(alias) }
    return forms
  }()

  // MARK: Forms of an instruction

  private func fragment(_ parsed: OperandParser, _ form: Form) -> AssemblyFragment {
    let wide = AssemblyFragment.Form(Int(form.row.length)) {
      (place) throws(AssemblyProblem) -> [UInt8] in
      let insn = try parsed.insn(at: place)
      if form.row.length == 2, let bits = Self.hint(insn, form.row) { return Self.bytes(bits, 2) }
      return try Self.bytes(insn, form.row, parsed)
    }
    guard form.row.length == 4 else { return AssemblyFragment([wide]) }
    var forms = [wide]
    if isCompressing, !parsed.isPart {
      forms.insert(
        AssemblyFragment.Form(2) { (place) throws(AssemblyProblem) -> [UInt8] in
          guard let bits = Self.compressed(try parsed.insn(at: place)) else {
            throw AssemblyProblem("there is no compressed form")
          }
          return Self.bytes(bits, 2)
        }, at: 0)
    }
    // A branch too far away becomes the opposite one over a jump.
    if form.row.traits.contains(.branch), parsed.isSymbolic {
      forms.append(
        AssemblyFragment.Form(8) { (place) throws(AssemblyProblem) -> [UInt8] in
          var over = try parsed.insn(at: place)
          guard over.imm & 1 == 0 else { return try wide.encode(place) }
          let jump = Insn(op: .jal, imm: over.imm &- 4)
          over.imm = 8
          let opposite: [Op: Op] = [
            .beq: .bne, .bne: .beq, .blt: .bge, .bge: .blt, .bltu: .bgeu, .bgeu: .bltu,
          ]
          over.op = opposite[over.op] ?? over.op
          return try Self.bytes(over, nil, parsed) + Self.bytes(jump, nil, parsed)
        })
    }
    return AssemblyFragment(forms)
  }

  /// A HINT's bits: of the row with the same name whose operands are all free.
  private static func hint(_ insn: Insn, _ row: Row) -> UInt32? {
    guard insn.rd == 0, row.rdKind == .x, row.layout.rd.mask != 0 else { return nil }
    var hint = insn
    hint.rm = 1
    guard let bits = Encoder.encode(hint), Encodings.row(of: bits)?.mnemonic == row.mnemonic
    else { return nil }
    return bits
  }

  static func bytes(_ bits: UInt32, _ count: Int) -> [UInt8] {
    (0..<UInt32(count)).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) }
  }

  /// The bytes of an instruction, or why there are none.
  static func bytes(
    _ insn: Insn, _ row: Row?, _ parsed: OperandParser?
  ) throws(AssemblyProblem) -> [UInt8] {
    if let bits = row.map({ $0.match | $0.layout.insert(insn) }), let row, row.matches(bits),
      row.layout.extract(bits, op: row.op, length: row.length) == insn
    {
      return bytes(bits, Int(row.length))
    }
    if row == nil, let bits = Encoder.encode(insn) { return bytes(bits, Int(insn.length)) }
    let row = row ?? Disassembler.wideRows[Int(insn.op.rawValue)]
    let column = parsed?.immediateColumn
    let (range, step) = row.immediateRange
    if !row.layout.slices.isEmpty, !range.contains(insn.imm) || insn.imm % step != 0 {
      if row.traits.contains(.pcRelative), row.format != .u {
        throw AssemblyProblem(
          "the target is \(insn.imm) bytes away: \(range.lowerBound) to \(range.upperBound) can be "
            + "reached", column: column)
      }
      let (value, low, high) =
        row.format == .u || row.op == .lui
        ? (insn.imm >> 12, range.lowerBound >> 12, range.upperBound >> 12)
        : (insn.imm, range.lowerBound, range.upperBound)
      let multiples = step > 1 && row.format != .u && row.op != .lui ? ", multiples of \(step)" : ""
      throw AssemblyProblem(
        "\(value) does not fit: \(low) to \(high)\(multiples)", column: column)
    }
    throw AssemblyProblem("\(row.mnemonic) can't have these operands", column: column)
  }

  /// The compressed form that GNU as takes, if there is one.
  static func compressed(_ insn: Insn) -> UInt32? {
    var short = insn
    short.length = 2
    switch insn.op {
    case .addi where insn.rs1 != 0 && insn.imm == 0:
      short = Insn(op: .add, rd: insn.rd, rs2: insn.rs1, length: 2)
      return insn.rd == 0 ? nil : Encoder.encode(short)
    case .addi where insn.rd == 0:
      return insn.rs1 == 0 && insn.imm == 0 ? Encoder.encode(short) : nil
    case .addi where insn.rd == Registers.sp && insn.rs1 == Registers.sp:
      if let bits = Encoder.encode(short) { return bits }
      short.rm = 1
      return Encoder.encode(short)
    case .slli, .srli, .srai: return insn.rd == 0 || insn.imm == 0 ? nil : Encoder.encode(short)
    case .lui: return insn.rd == 0 ? nil : Encoder.encode(short)
    case .add, .addw, .and, .or, .xor:
      guard insn.rd != 0 else { return nil }
      if let bits = Encoder.encode(short) { return bits }
      (short.rs1, short.rs2) = (short.rs2, short.rs1)
      return Encoder.encode(short)
    default: return Encoder.encode(short)
    }
  }
}
