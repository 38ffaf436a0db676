import RISCV

/// Instructions as they are put together.
struct CodeBuffer {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ bits: UInt32, length: UInt8) {
    for shift in 0..<UInt32(length) { bytes.append(UInt8(truncatingIfNeeded: bits >> (8 * shift))) }
  }

  mutating func emit(_ insn: Insn) {
    guard let bits = Encoder.encode(insn) else { preconditionFailure("no encoding: \(insn)") }
    append(bits, length: insn.length)
  }

  mutating func emit(
    _ op: Op, rd: UInt8 = 0, rs1: UInt8 = 0, rs2: UInt8 = 0, imm: Int64 = 0
  ) {
    emit(Insn(op: op, rd: rd, rs1: rs1, rs2: rs2, imm: imm))
  }

  /// Loads any value, which lies between the instructions.
  mutating func load(_ rd: UInt8, _ value: UInt64) {
    if let small = Int64(exactly: Int64(bitPattern: value)), (-2048..<2048).contains(small) {
      emit(.addi, rd: rd, imm: small)
      return
    }
    emit(.auipc, rd: rd)
    emit(.jal, imm: 12)
    for shift in UInt64(0)..<8 { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * shift))) }
    emit(.ld, rd: rd, rs1: rd, imm: 8)
  }

  mutating func csr(_ op: Op, _ number: Int64, rd: UInt8 = 0, rs1: UInt8 = 0) {
    emit(op, rd: rd, rs1: rs1, imm: number)
  }

  mutating func append(_ more: [UInt8]) { bytes += more }
}

/// Which random instructions there are to be.
struct CodeMix {
  /// Registers that hold addresses worth an access.
  var pointers: [UInt8] = [8, 9, 18, 19, 20, 21, 22, 23]
  /// CSR numbers.
  var registers: [Int64] = []
  /// System calls or firmware calls: number in a7.
  var calls: [UInt64] = []
  /// Values for their arguments.
  var arguments: [UInt64] = []
}

extension FuzzRandom {
  /// Random code of at least `count` bytes.
  mutating func code(_ count: Int, _ mix: CodeMix) -> [UInt8] {
    var code = CodeBuffer()
    while code.bytes.count < count { insn(&code, mix) }
    return Array(code.bytes.prefix(count))
  }

  private mutating func register() -> UInt8 { UInt8(below(32)) }

  /// A destination that usually is no pointer.
  private mutating func destination(_ mix: CodeMix) -> UInt8 {
    let register = register()
    return mix.pointers.contains(register) && !once(in: 8) ? 0 : register
  }

  private mutating func insn(_ code: inout CodeBuffer, _ mix: CodeMix) {
    switch below(40) {
    case 0: code.append(UInt32(truncatingIfNeeded: next()) | 3, length: 4)
    case 1, 2: code.append(UInt32(truncatingIfNeeded: next() & 0xffff), length: 2)
    case 3..<10: access(&code, mix)
    case 10, 11: atomic(&code, mix)
    case 12..<17: branch(&code)
    case 17..<20 where !mix.registers.isEmpty: csr(&code, mix)
    case 20 where !mix.calls.isEmpty: call(&code, mix)
    case 21:
      code.emit(pick([.fence_i, .fence, .ebreak, .fence_i, .ecall, .fence]))
    case 22 where !mix.registers.isEmpty:
      switch below(8) {
      case 0: code.emit(.sret)
      case 1: code.emit(.mret)
      case 2: code.emit(.wfi)
      default:
        code.emit(
          .sfence_vma, rs1: once(in: 2) ? 0 : pick(mix.pointers), rs2: once(in: 2) ? 0 : register())
      }
    case 23:
      let pointer = pick(mix.pointers)
      code.emit(.addi, rd: pointer, rs1: pointer, imm: Int64(below(128) * 8 - 512))
    default: any(&code, mix)
    }
  }

  private mutating func any(_ code: inout CodeBuffer, _ mix: CodeMix) {
    for _ in 0..<8 {
      let insn = Insn(
        op: pick(Op.allCases), rd: destination(mix), rs1: register(), rs2: register(),
        rs3: once(in: 2) ? register() : 0, rm: pick([0, 0, 7, 7, UInt8(below(8))]),
        length: once(in: 3) ? 2 : 4, imm: Int64(pick([0, below(64), below(4096) - 2048])))
      if let bits = Encoder.encode(insn) {
        code.append(bits, length: insn.length)
        return
      }
      var plain = insn
      (plain.rs3, plain.rm, plain.length) = (0, 0, 4)
      if let bits = Encoder.encode(plain) {
        code.append(bits, length: 4)
        return
      }
    }
    code.emit(.addi, rd: destination(mix), rs1: register(), imm: Int64(below(64)))
  }

  private mutating func access(_ code: inout CodeBuffer, _ mix: CodeMix) {
    let base = pick(mix.pointers)
    let imm =
      once(in: 6)
      ? Int64(below(4096) - 2048) : Int64(below(32)) * pick([1, 4, 8, 8]) - pick([0, 64])
    let loads: [Op] = [.lb, .lh, .lw, .ld, .lbu, .lhu, .lwu, .flw, .fld, .ld, .lw]
    let stores: [Op] = [.sb, .sh, .sw, .sd, .fsw, .fsd, .sd, .sw]
    let twice = once(in: 4)
    for at in 0..<(twice ? 2 : 1) {
      let imm = imm + Int64(at * 8)
      guard (-2048..<2048).contains(imm) else { continue }
      if once(in: 2) {
        code.emit(pick(loads), rd: destination(mix), rs1: base, imm: imm)
      } else {
        code.emit(pick(stores), rs1: base, rs2: register(), imm: imm)
      }
    }
    if once(in: 3) {
      code.emit(.addi, rd: destination(mix), rs1: register(), imm: Int64(below(256) - 128))
    }
  }

  private mutating func atomic(_ code: inout CodeBuffer, _ mix: CodeMix) {
    let ops: [Op] = [
      .lr_w, .sc_w, .lr_d, .sc_d, .amoswap_w, .amoadd_d, .amoxor_w, .amoand_d, .amoor_w,
      .amomin_d, .amomax_w, .amominu_d, .amomaxu_w,
    ]
    let op = pick(ops)
    let second: UInt8 = op == .lr_w || op == .lr_d ? 0 : register()
    code.emit(op, rd: destination(mix), rs1: pick(mix.pointers), rs2: second)
  }

  private mutating func branch(_ code: inout CodeBuffer) {
    let distance = Int64(below(64) - 24) * 2
    switch below(8) {
    case 0: code.emit(.jal, rd: pick([0, 1]), imm: distance)
    case 1:
      code.emit(.auipc, rd: 1)
      code.emit(.jalr, rd: pick([0, 1]), rs1: 1, imm: distance)
    default:
      code.emit(
        pick([.beq, .bne, .blt, .bge, .bltu, .bgeu]), rs1: register(), rs2: register(),
        imm: distance)
    }
  }

  private mutating func csr(_ code: inout CodeBuffer, _ mix: CodeMix) {
    let number = once(in: 10) ? Int64(below(4096)) : pick(mix.registers)
    switch below(4) {
    case 0: code.csr(.csrrs, number, rd: destination(mix))
    case 1:
      code.csr(
        pick([.csrrwi, .csrrsi, .csrrci]), number, rd: destination(mix), rs1: UInt8(below(32)))
    default:
      if once(in: 2) { code.load(5, edge()) }
      code.csr(
        pick([.csrrw, .csrrs, .csrrc]), number, rd: destination(mix), rs1: pick([5, register()]))
    }
  }

  private mutating func call(_ code: inout CodeBuffer, _ mix: CodeMix) {
    code.load(17, once(in: 12) ? next() & 0x3ff : pick(mix.calls))
    for register in UInt8(10)..<17 where !once(in: 4) {
      switch below(3) {
      case 0: code.load(register, edge())
      case 1 where !mix.arguments.isEmpty: code.load(register, pick(mix.arguments))
      default: code.load(register, UInt64(below(8)))
      }
    }
    code.emit(.ecall)
  }
}
