import Assembly

/// What becomes several instructions.
extension RISCVAssembler {
  func macro(_ statement: AssemblyStatement) throws(AssemblyProblem) -> AssemblyFragment? {
    let count = statement.operands.count
    switch statement.mnemonic {
    case "li" where count == 2: return try loadImmediate(statement)
    case "la" where count == 2, "lla" where count == 2:
      return try address(statement, 1, into: 0, Insn(op: .addi))
    case "call" where count == 1: return try far(statement, link: Registers.ra, by: Registers.ra)
    case "tail" where count == 1: return try far(statement, link: 0, by: 6)
    default: break
    }
    guard let form = Self.forms[statement.mnemonic]?.first(where: { $0.row.length == 4 }) else {
      return nil
    }
    let isLoad = form.row.format == .i && form.row.traits.contains(.load)
    if isLoad, form.row.rdKind == .x, count == 2, isSymbol(statement.operands[1]) {
      return try address(statement, 1, into: 0, Insn(op: form.row.op))
    }
    if isLoad || form.row.format == .s, count == 3, isSymbol(statement.operands[1]) {
      return try address(statement, 1, into: 2, Insn(op: form.row.op))
    }
    return nil
  }

  /// Not `imm(reg)`: an expression that ends with the operand.
  private func isSymbol(_ operand: AssemblyReader) -> Bool {
    var reader = operand
    guard reader.next?.name != nil, (try? reader.expression()) != nil else { return false }
    return reader.isAtEnd
  }

  private func register(
    _ statement: AssemblyStatement, _ operand: Int, _ kind: RegisterKind = .x
  ) throws(AssemblyProblem) -> UInt8 {
    let reader = statement.operands[operand]
    guard let name = reader.next?.name, reader.afterNext == nil,
      let number = kind == .f ? Registers.f(named: name) : Registers.x(named: name)
    else {
      throw AssemblyProblem(
        "\(kind == .f ? "a floating-point" : "an integer") register is wanted",
        column: reader.column)
    }
    return number
  }

  private func expression(
    _ statement: AssemblyStatement, _ operand: Int
  ) throws(AssemblyProblem) -> AssemblyExpression {
    var reader = statement.operands[operand]
    let value = try reader.expression()
    guard reader.isAtEnd else {
      throw AssemblyProblem("something is too much here", column: reader.column)
    }
    return value
  }

  /// Bytes of instructions that exist whatever their operands.
  private func bytes(_ insns: [Insn]) throws(AssemblyProblem) -> [UInt8] {
    var made: [UInt8] = []
    for insn in insns {
      if isCompressing, let bits = Self.compressed(insn) {
        made += Self.bytes(bits, 2)
      } else {
        made += try Self.bytes(insn, nil, nil)
      }
    }
    return made
  }

  // MARK: Numbers

  /// `li`: a number in as few instructions as GNU as needs.
  private func loadImmediate(
    _ statement: AssemblyStatement
  ) throws(AssemblyProblem) -> AssemblyFragment {
    let rd = try register(statement, 0)
    let value = try expression(statement, 1)
    let column = statement.operands[1].column
    // Sizes from the shortest to that of eight wide instructions; which it is shows with the value.
    let forms = stride(from: 2, through: 32, by: 2).map { size in
      AssemblyFragment.Form(size) { (place) throws(AssemblyProblem) -> [UInt8] in
        let made = try bytes(
          Self.loads(Int64(bitPattern: try OperandParser.value(value, place)), rd))
        guard made.count <= size else {
          throw AssemblyProblem("this number needs more instructions", column: column)
        }
        return made + filler(size - made.count)
      }
    }
    return AssemblyFragment(forms)
  }

  /// The instructions that make a number.
  ///
  /// - SeeAlso: GNU Binutils, `gas/config/tc-riscv.c`, `load_const`.
  static func loads(_ value: Int64, _ rd: UInt8) -> [Insn] {
    if (-2048..<2048).contains(value) { return [Insn(op: .addi, rd: rd, imm: value)] }
    return constant(value, rd)
  }

  private static func constant(_ value: Int64, _ rd: UInt8) -> [Insn] {
    let low = (value << 52) >> 52
    if value == Int64(Int32(truncatingIfNeeded: value)) {
      let high = ((value &- low) << 32) >> 32
      var insns = high == 0 ? [] : [Insn(op: .lui, rd: rd, imm: high)]
      if low != 0 || high == 0 {
        insns.append(Insn(op: .addiw, rd: rd, rs1: high == 0 ? 0 : rd, imm: low))
      }
      return insns
    }
    var shift: Int64 = 12
    let upper = value &- low
    while (upper >> shift) & 1 == 0 { shift += 1 }
    let insns = constant(upper >> shift, rd) + [Insn(op: .slli, rd: rd, rs1: rd, imm: shift)]
    return low == 0 ? insns : insns + [Insn(op: .addi, rd: rd, rs1: rd, imm: low)]
  }

  // MARK: Addresses

  /// `auipc` with the upper part of a distance, and an instruction with the lower one.
  ///
  /// The address is operand number `operand`, the register of `auipc` number `temporary`; the
  /// registers of `insn` are filled in.
  private func address(
    _ statement: AssemblyStatement, _ operand: Int, into temporary: Int, _ insn: Insn
  ) throws(AssemblyProblem) -> AssemblyFragment {
    let base = try register(statement, temporary)
    let row = Disassembler.wideRows[Int(insn.op.rawValue)]
    var second = insn
    second.rs1 = base
    if row.rs2Kind != .none {
      second.rs2 = try register(statement, 0, row.rs2Kind)
    } else {
      second.rd = try register(statement, 0, row.rdKind)
    }
    let target = try expression(statement, operand)
    let column = statement.operands[operand].column
    return AssemblyFragment([
      AssemblyFragment.Form(8) { [second] (place) throws(AssemblyProblem) -> [UInt8] in
        let distance = try Self.distance(target, place, column)
        var second = second
        second.imm = (distance << 52) >> 52
        let first = Insn(op: .auipc, rd: base, imm: distance &- second.imm)
        return try Self.bytes(first, nil, nil) + Self.bytes(second, nil, nil)
      }
    ])
  }

  private static func distance(
    _ target: AssemblyExpression, _ place: AssemblyPlace, _ column: Int
  ) throws(AssemblyProblem) -> Int64 {
    let distance = Int64(bitPattern: try target.value(place) &- place.pc)
    guard (-(1 << 31) - 0x800..<(1 << 31) - 0x800).contains(distance) else {
      throw AssemblyProblem("the target is \(distance) bytes away: too far", column: column)
    }
    return distance
  }

  /// `call` and `tail`: one jump where it reaches, as after GNU ld's relaxation.
  private func far(
    _ statement: AssemblyStatement, link: UInt8, by temporary: UInt8
  ) throws(AssemblyProblem) -> AssemblyFragment {
    let target = try expression(statement, 0)
    let column = statement.operands[0].column
    func jump(_ place: AssemblyPlace) throws(AssemblyProblem) -> Insn {
      Insn(op: .jal, rd: link, imm: try Self.distance(target, place, column))
    }
    var forms = [
      AssemblyFragment.Form(4) { (place) throws(AssemblyProblem) -> [UInt8] in
        try Self.bytes(try jump(place), nil, nil)
      },
      AssemblyFragment.Form(8) { (place) throws(AssemblyProblem) -> [UInt8] in
        let distance = try Self.distance(target, place, column)
        let low = (distance << 52) >> 52
        return try Self.bytes(Insn(op: .auipc, rd: temporary, imm: distance &- low), nil, nil)
          + Self.bytes(Insn(op: .jalr, rd: link, rs1: temporary, imm: low), nil, nil)
      },
    ]
    if isCompressing {
      forms.insert(
        AssemblyFragment.Form(2) { (place) throws(AssemblyProblem) -> [UInt8] in
          guard let bits = Self.compressed(try jump(place)) else {
            throw AssemblyProblem("there is no compressed form")
          }
          return Self.bytes(bits, 2)
        }, at: 0)
    }
    return AssemblyFragment(forms)
  }
}
