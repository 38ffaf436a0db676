import Assembly

/// Reads a statement's operands as one form has them.
struct OperandParser {
  private let form: RISCVAssembler.Form
  /// What is known of the instruction; its immediate may depend on ``immediate``.
  var insn: Insn
  /// How many operands were read.
  private(set) var passed = 0
  private var immediate: (expression: AssemblyExpression, operand: Operand)?
  /// Where the immediate is written.
  private(set) var immediateColumn: Int?

  /// Whether the immediate names something.
  var isSymbolic: Bool { immediate != nil }

  /// Whether the immediate is a part of an address, which GNU as leaves to the linker.
  var isPart: Bool {
    if case .function? = immediate?.expression { true } else { false }
  }

  init(_ form: RISCVAssembler.Form) {
    self.form = form
    let (syntax, row) = (form.syntax, form.row)
    // What has no field is what the row implies.
    func implied(_ field: Field) -> UInt8 { field.mask == 0 ? field.base : 0 }
    insn = Insn(
      op: row.op, rd: syntax.rd ?? implied(row.layout.rd),
      rs1: syntax.rs1 ?? implied(row.layout.rs1),
      rs2: syntax.rs2 ?? implied(row.layout.rs2), rm: syntax.rm ?? implied(row.layout.rm),
      length: row.length, imm: syntax.imm ?? 0)
    if syntax.rm == nil, row.layout.rm.mask == 7 { insn.rm = row.op.usualRounding }
  }

  /// The instruction at a place.
  func insn(at place: AssemblyPlace) throws(AssemblyProblem) -> Insn {
    guard let immediate else { return insn }
    var insn = insn
    let value = Int64(bitPattern: try Self.value(immediate.expression, place))
    switch immediate.operand {
    case .target: insn.imm = value &- Int64(bitPattern: place.pc)
    case .upper: insn.imm = try upper(value)
    default: insn.imm = value
    }
    return insn
  }

  /// 20 bits, signed or unsigned, as `lui` takes them; `c.lui` those of 6 bits, sign-extended.
  private func upper(_ value: Int64) throws(AssemblyProblem) -> Int64 {
    guard (-(1 << 19)..<(1 << 20)).contains(value) else {
      throw AssemblyProblem("\(value) does not fit: 0 to 1048575", column: immediateColumn)
    }
    return (value << 44) >> 32
  }

  /// An expression's value, `%hi` and `%lo` understood.
  static func value(
    _ expression: AssemblyExpression, _ place: AssemblyPlace
  ) throws(AssemblyProblem) -> UInt64 {
    guard case .function(let name, let inner, let column) = expression else {
      return try expression.value(place)
    }
    let value = try inner.value(place)
    switch name {
    case "hi": return ((value &+ 0x800) >> 12) & 0xfffff
    case "lo": return UInt64(bitPattern: Int64(bitPattern: value << 52) >> 52)
    case "pcrel_hi": return ((value &- place.pc &+ 0x800) >> 12) & 0xfffff
    default: throw AssemblyProblem("%\(name)() is not known here", column: column)
    }
  }

  // MARK: Reading

  mutating func parse(_ statement: AssemblyStatement) throws(AssemblyProblem) {
    let wanted = form.syntax.operands
    let given = statement.operands
    let least = wanted.last == .rounding ? wanted.count - 1 : wanted.count
    for (operand, reader) in zip(wanted, given) {
      var reader = reader
      try read(operand, &reader)
      guard reader.isAtEnd else {
        throw AssemblyProblem("something is too much here", column: reader.column)
      }
      passed += 1
    }
    guard given.count >= least else {
      throw AssemblyProblem(
        "\(statement.mnemonic) wants \(least) operands, not \(given.count)",
        column: statement.column)
    }
    guard given.count <= wanted.count else {
      throw AssemblyProblem(
        "\(statement.mnemonic) wants \(wanted.count) operands, not \(given.count)",
        column: given[wanted.count].column)
    }
    passed += 1
    let layout = form.row.layout
    // One field for both.
    if layout.rd.mask != 0, layout.rd.mask == layout.rs1.mask, layout.rd.shift == layout.rs1.shift {
      insn.rs1 = insn.rd
    }
    if form.syntax.sameSources { insn.rs2 = insn.rs1 }
  }

  private mutating func read(
    _ operand: Operand, _ reader: inout AssemblyReader
  ) throws(AssemblyProblem) {
    switch operand {
    case .rd: insn.rd = try register(form.row.rdKind, &reader)
    case .rs1: insn.rs1 = try register(form.row.rs1Kind, &reader)
    case .rs2: insn.rs2 = try register(form.row.rs2Kind, &reader)
    case .rs3: insn.rs3 = try register(form.row.rs3Kind, &reader)
    case .only(let number):
      let column = reader.column
      guard try register(.x, &reader) == number else {
        throw AssemblyProblem("\(Registers.xName(number)) is wanted here", column: column)
      }
    case .imm, .shamt, .upper, .target: try readImmediate(operand, &reader)
    case .address:
      // `(reg)` alone, or behind an offset.
      if reader.next?.isSign("(") != true || !isRegister(reader.afterNext) {
        try readImmediate(.imm, &reader)
      }
      try readBase(&reader)
    case .base:
      // `0(reg)` is the same, as GNU as has it.
      if case .number(0)? = reader.next?.kind { reader.skip() }
      try readBase(&reader)
    case .csr: try readCSR(&reader)
    case .uimm:
      let column = reader.column
      guard case .number(let value)? = reader.next?.kind, value < 32 else {
        throw AssemblyProblem("a number from 0 to 31 is wanted", column: column)
      }
      reader.skip()
      insn.rs1 = UInt8(value)
    case .pred: insn.imm |= try accesses(&reader) << 4
    case .succ: insn.imm |= try accesses(&reader)
    case .rounding:
      guard let name = reader.next?.name,
        let mode = Disassembler.roundingModes.firstIndex(of: name), name != "unknown"
      else { throw AssemblyProblem("a rounding mode is wanted", column: reader.column) }
      reader.skip()
      insn.rm = UInt8(mode)
    }
  }

  private mutating func readImmediate(
    _ operand: Operand, _ reader: inout AssemblyReader
  ) throws(AssemblyProblem) {
    immediateColumn = reader.column
    if isRegister(reader.next) {
      throw AssemblyProblem("a number is wanted, not a register", column: reader.column)
    }
    immediate = (try reader.expression(), operand)
  }

  private mutating func readBase(_ reader: inout AssemblyReader) throws(AssemblyProblem) {
    guard reader.take("(") else {
      throw AssemblyProblem("'(' and a register are missing", column: reader.column)
    }
    let column = reader.column
    let number = try register(.x, &reader)
    guard reader.take(")") else {
      throw AssemblyProblem("')' is missing", column: reader.column)
    }
    // `c.lwsp` and its like have no field for it.
    if form.row.layout.rs1.mask == 0 {
      guard number == insn.rs1 else {
        throw AssemblyProblem("\(Registers.xName(insn.rs1)) is wanted here", column: column)
      }
    }
    insn.rs1 = number
  }

  private func isRegister(_ token: AssemblyToken?) -> Bool {
    token?.name.map { Registers.x(named: $0) ?? Registers.f(named: $0) } ?? nil != nil
  }

  private func register(
    _ kind: RegisterKind, _ reader: inout AssemblyReader
  ) throws(AssemblyProblem) -> UInt8 {
    let token = reader.next
    let column = reader.column
    reader.skip()
    guard let name = token?.name,
      let number = kind == .f ? Registers.f(named: name) : Registers.x(named: name)
    else {
      throw AssemblyProblem(
        "\(kind == .f ? "a floating-point" : "an integer") register is wanted", column: column)
    }
    return number
  }

  private mutating func readCSR(_ reader: inout AssemblyReader) throws(AssemblyProblem) {
    let column = reader.column
    let token = reader.next
    reader.skip()
    switch token?.kind {
    case .number(let number) where number < 4096: insn.imm = Int64(number)
    case .name(let name):
      guard let number = Self.csrNumbers[name] else {
        throw AssemblyProblem("there is no CSR '\(name)'", column: column)
      }
      insn.imm = number
    default: throw AssemblyProblem("a CSR is wanted: a name, or 0 to 4095", column: column)
    }
  }

  private static let csrNumbers: [String: Int64] = {
    var numbers: [String: Int64] = [:]
    for number in Int64(0)..<4096 {
      if let name = Disassembler.csrName(number) { numbers[name] = number }
    }
    return numbers
  }()

  private func accesses(_ reader: inout AssemblyReader) throws(AssemblyProblem) -> Int64 {
    let column = reader.column
    guard let name = reader.next?.name,
      let bits = (Int64(1)...15).first(where: { Disassembler.accesses($0) == name })
    else { throw AssemblyProblem("some of i, o, r, w are wanted", column: column) }
    reader.skip()
    return bits
  }
}
