#if arch(x86_64) && os(Linux)
extension Translator {
  /// Host code of one micro-op.
  mutating func emit(_ op: MicroOp) {
    if isPointless(op) || byteInPlace(op) { return }
    if let form = FlagForm(op) { return settingFlags(op, form) }
    switch op.op {
    case .slt, .sltu, .xor, .setcc:
      if let condition = flagCondition(op) { return self.condition(op, condition) }
    default: break
    }
    switch op.op {
    case .movi:
      let to = target(op.d)
      asm.constant(to, op.imm)
      write(op.d, to)
    case .mov: move(op)
    case .add: add(op)
    case .addi: addImmediate(op)
    case .sub: binary(op, Alu.sub)
    case .and: binary(op, Alu.and, commutes: true)
    case .or: binary(op, Alu.or, commutes: true)
    case .xor: binary(op, Alu.xor, commutes: true)
    case .andi: immediate(op, 4)
    case .ori: immediate(op, 1)
    case .xori: immediate(op, 6)
    case .sll: shift(op, 4)
    case .srl: shift(op, 5)
    case .sra: shift(op, 7)
    case .rol: shift(op, 0)
    case .ror: shift(op, 1)
    case .slli: shiftImmediate(op, 4)
    case .srli: shiftImmediate(op, 5)
    case .srai: shiftImmediate(op, 7)
    case .rori: shiftImmediate(op, 1)
    case .sllw: shift(op, 4, w: false)
    case .srlw: shift(op, 5, w: false)
    case .sraw: shift(op, 7, w: false)
    case .rolw: shift(op, 0, w: false)
    case .rorw: shift(op, 1, w: false)
    case .slliw: shiftImmediate(op, 4, w: false)
    case .srliw: shiftImmediate(op, 5, w: false)
    case .sraiw: shiftImmediate(op, 7, w: false)
    case .roriw: shiftImmediate(op, 1, w: false)
    case .slt: compare(op, Condition.less)
    case .sltu: compare(op, Condition.below)
    case .slti: compareImmediate(op, Condition.less)
    case .sltiu: compareImmediate(op, Condition.below)
    case .addw: binary(op, Alu.add, commutes: true, w: false)
    case .subw: binary(op, Alu.sub, w: false)
    case .addiw: addImmediateWord(op)
    case .mul: multiply(op)
    case .mulw: multiply(op, w: false)
    case .mulh, .mulhu, .mulhsu: multiplyHigh(op)
    case .div, .divu, .rem, .remu, .divw, .divuw, .remw, .remuw: divide(op)
    case .shadd: shiftAdd(op, word: false)
    case .shadduw: shiftAdd(op, word: true)
    case .slliuw:
      let to = target(op.d)
      asm.rr(Alu.mov, to, read(op.a, else: Host.rax), w: false)
      if op.imm != 0 { asm.shift(4, to, UInt8(truncatingIfNeeded: op.imm & 63)) }
      write(op.d, to)
    case .andn, .orn: notSecond(op)
    case .xnor:
      readInto(Host.rax, op.a)
      alu(Alu.xor, Host.rax, op.b)
      asm.group3(2, Host.rax)
      write(op.d, Host.rax)
    case .clz: count(op, 0xbd, feature: cache.features.lzcnt)
    case .clzw: count(op, 0xbd, feature: cache.features.lzcnt, w: false)
    case .ctz: count(op, 0xbc, feature: cache.features.bmi)
    case .ctzw: count(op, 0xbc, feature: cache.features.bmi, w: false)
    case .cpop: count(op, 0xb8, feature: cache.features.popcnt)
    case .cpopw: count(op, 0xb8, feature: cache.features.popcnt, w: false)
    case .max: choose(op, Condition.less)
    case .maxu: choose(op, Condition.below)
    case .min: choose(op, Condition.greater)
    case .minu: choose(op, Condition.above)
    case .sext8: extend(op, 0xbe, w: true)
    case .sext16: extend(op, 0xbf, w: true)
    case .zext16: extend(op, 0xb7, w: false)
    case .rev8:
      readInto(Host.rax, op.a)
      asm.bswap(Host.rax)
      write(op.d, Host.rax)
    case .bclr: bit(op, 0xb3)
    case .bset: bit(op, 0xab)
    case .binv: bit(op, 0xbb)
    case .bclri: bitImmediate(op, 6)
    case .bseti: bitImmediate(op, 5)
    case .binvi: bitImmediate(op, 7)
    case .bext:
      readInto(Host.rax, op.a)
      readInto(Host.rcx, op.b)
      asm.shiftCL(5, Host.rax)
      asm.ri(4, Host.rax, 1, w: false)
      write(op.d, Host.rax)
    case .bexti:
      readInto(Host.rax, op.a)
      asm.shift(5, Host.rax, UInt8(truncatingIfNeeded: op.imm & 63))
      asm.ri(4, Host.rax, 1, w: false)
      write(op.d, Host.rax)
    case .czeroeqz: zeroIf(op, Condition.equal)
    case .czeronez: zeroIf(op, Condition.notEqual)
    case .ld8s, .ld8u, .ld16s, .ld16u, .ld32s, .ld32u, .ld64, .ldbox32, .ldm8u, .ldm16u, .ldm32u,
      .ldm64, .ldx8u, .ldx32u, .ldx64:
      load(op)
    case .st8, .st16, .st32, .st64, .stx8, .stx32, .stx64: store(op)
    case .ldv where isVector(op.d): loadVector(op)
    case .stv where isVector(op.b): storeVector(op)
    case .movv where isVector(op.d) && isVector(op.a): moveVector(op)
    case .ins32 where isVector(op.d) && isVector(op.a): insertSingle(op)
    case .zext32:
      if moveLow(op) { return }
      let to = target(op.d)
      asm.rr(Alu.mov, to, read(op.a, else: Host.rax), w: false)
      write(op.d, to)
    case .add32: narrow(op, Alu.add, commutes: true)
    case .sub32: narrow(op, Alu.sub)
    case .and32: narrow(op, Alu.and, commutes: true)
    case .or32: narrow(op, Alu.or, commutes: true)
    case .xor32: narrow(op, Alu.xor, commutes: true)
    case .addi32: narrowImmediate(op, 0)
    case .ori32: narrowImmediate(op, 1)
    case .xori32: narrowImmediate(op, 6)
    case .mul32: multiply(op, w: false, extends: false)
    case .shl32i: shiftImmediate(op, 4, w: false, extends: false)
    case .shr32i: shiftImmediate(op, 5, w: false, extends: false)
    case .sar32i: shiftImmediate(op, 7, w: false, extends: false)
    case .rol32i: shiftImmediate(op, 0, w: false, extends: false)
    case .ins8, .ins16, .ins32: insert(op)
    case .ins8h:
      readInto(Host.rcx, op.a)
      readInto(Host.rax, op.d)
      // mov ah, cl
      asm.byte(0x88)
      asm.byte(0xcc)
      write(op.d, Host.rax)
    case .ext8h:
      let to = target(op.d)
      readInto(Host.rax, op.a)
      asm.shift(5, Host.rax, 8, w: false)
      asm.rr0f(0xb6, to, Host.rax, w: false)
      write(op.d, to)
    case .movnz: moveIf(op, Condition.notEqual)
    case .movz: moveIf(op, Condition.equal)
    case .fadd64: float(NativeFloat(.add, isDouble: true), op)
    case .fsub64: float(NativeFloat(.sub, isDouble: true), op)
    case .fmul64: float(NativeFloat(.mul, isDouble: true), op)
    case .helper:
      switch natives[op.imm] {
      case .float(let known)?: float(known, op)
      case .vector(let known)?: vector(known, op)
      case .check(let known)?: check(known, op)
      case nil: callHelper()
      }
    case .helperExit: helperExit()
    case .beq, .bne, .blt, .bge, .bltu, .bgeu: branch(op)
    case .bcc: if flagCondition(op) != nil { branch(op) } else { interpretRest() }
    case .goto: way(fall: false)
    case .call:
      asm.constant(Host.rcx, Int64(bitPattern: block.pointee.end))
      write(op.d, Host.rcx)
      way(fall: false)
    case .callr, .gotor, .jumpr: computed(op)
    default:
      if at == opCount - 1 { interpretRest() } else { step() }
    }
  }

  /// A result that nobody reads, of a micro-op that does nothing else.
  private func isPointless(_ op: MicroOp) -> Bool {
    guard op.d == Slot.sink else { return false }
    switch op.op {
    case .movi, .mov, .add, .addi, .sub, .and, .andi, .or, .ori, .xor, .xori, .sll, .slli, .srl,
      .srli, .sra, .srai, .slt, .slti, .sltu, .sltiu, .addw, .addiw, .subw, .sllw, .slliw, .srlw,
      .srliw, .sraw, .sraiw, .mul, .mulh, .mulhu, .mulhsu, .mulw, .div, .divu, .rem, .remu, .divw,
      .divuw, .remw, .remuw, .shadd, .shadduw, .slliuw, .andn, .orn, .xnor, .clz, .clzw, .ctz,
      .ctzw, .cpop, .cpopw, .max, .maxu, .min, .minu, .sext8, .sext16, .zext16, .rol, .ror, .rori,
      .rolw, .rorw, .roriw, .orcb, .rev8, .bclr, .bclri, .bext, .bexti, .binv, .binvi, .bset,
      .bseti, .czeroeqz, .czeronez, .zext32, .add32, .addi32, .sub32, .and32, .or32, .ori32, .xor32,
      .xori32, .mul32, .shl32i, .shr32i, .sar32i, .rol32i, .ins8, .ins8h, .ins16, .ext8h, .movnz,
      .movz:
      return true
    default: return false
    }
  }

  // MARK: Arithmetic

  private mutating func move(_ op: MicroOp) {
    if moveLow(op) { return }
    let from = hostOf[Int(op.a)]
    let to = hostOf[Int(op.d)]
    if from >= 16, from != Self.nowhere, to >= 16, to != Self.nowhere {
      ensure(from)
      asm.rr0f(0x28, to - 16, from - 16, w: false)
      let known = boxed & 1 << UInt32(op.a - UInt8(Slot.fp)) != 0
      noteWritten(op.d, to)
      if known { boxed |= 1 << UInt32(op.d - UInt8(Slot.fp)) }
      return
    }
    if to < 16 {
      readInto(to, op.a)
      write(op.d, to)
    } else {
      write(op.d, read(op.a, else: Host.rax))
    }
  }

  /// d = a op b by a two-operand instruction.
  private mutating func binary(_ op: MicroOp, _ code: UInt8, commutes: Bool = false, w: Bool = true)
  {
    var to = target(op.d)
    var (a, b) = (op.a, op.b)
    if to != Host.rax, b == op.d, a != op.d {
      // The second operand is in the way of the result.
      if commutes { (a, b) = (b, a) } else { to = Host.rax }
    }
    readInto(to, a)
    alu(code, to, b, w: w)
    if !w { asm.rr(Alu.movsxd, to, to) }
    write(op.d, to)
  }

  /// The same on 32 bits, zero-extended.
  private mutating func narrow(_ op: MicroOp, _ code: UInt8, commutes: Bool = false) {
    var to = target(op.d)
    var (a, b) = (op.a, op.b)
    if to != Host.rax, b == op.d, a != op.d {
      if commutes { (a, b) = (b, a) } else { to = Host.rax }
    }
    readInto(to, a)
    alu(code, to, b, w: false)
    write(op.d, to)
  }

  private mutating func narrowImmediate(_ op: MicroOp, _ group: UInt8) {
    let to = target(op.d)
    let imm = Int32(truncatingIfNeeded: op.imm)
    let from = read(op.a, else: to)
    if group == 0, from != to {
      asm.lea(to, from, imm, w: false)
    } else {
      if from != to { asm.mov(to, from) }
      asm.ri(group, to, imm, w: false)
    }
    write(op.d, to)
  }

  /// An operation on a register's low byte: its result goes to a temporary, and from there to where the
  /// first operand is.
  private mutating func byteInPlace(_ op: MicroOp) -> Bool {
    let code: UInt8
    switch op.op {
    case .add: code = Alu.add
    case .sub: code = Alu.sub
    case .and: code = Alu.and
    case .or: code = Alu.or
    case .xor: code = Alu.xor
    default: return false
    }
    guard op.d >= Slot.temp, op.d < Slot.sink, at + 1 < opCount - 1 else { return false }
    let next = block.pointee.ops[at + 1]
    let host = hostOf[Int(op.a)]
    guard next.op == .ins8, next.a == op.d, next.d == op.a, next.gi == op.gi, host < 16 else {
      return false
    }
    prepareFlags(next)
    ensure(host)
    asm.sized(code, host, read(op.b, else: Host.rdx), 1)
    noteWritten(op.a, host)
    at += 1
    return true
  }

  /// Replaces the low bits of `d`.
  private mutating func insert(_ op: MicroOp) {
    let from = read(op.a, else: Host.rcx)
    let host = hostOf[Int(op.d)]
    var to = Host.rax
    if host < 16 {
      ensure(host)
      to = host
    } else {
      readInto(to, op.d)
    }
    switch op.op {
    case .ins8: asm.byteRegisters(0x8a, to, from)
    case .ins16: asm.sized(Alu.mov, to, from, 2)
    default:
      // The upper half stays.
      asm.rr(Alu.mov, Host.rdx, from, w: false)
      asm.shift(5, to, 32)
      asm.shift(4, to, 32)
      asm.rr(Alu.or, to, Host.rdx)
    }
    write(op.d, to)
  }

  /// d = a where b compares so with zero.
  private mutating func moveIf(_ op: MicroOp, _ condition: UInt8) {
    let b = read(op.b, else: Host.rcx)
    asm.test(b, b)
    let from = read(op.a, else: Host.rdx)
    let host = hostOf[Int(op.d)]
    var to = Host.rax
    if host < 16 {
      ensure(host)
      to = host
    } else {
      readInto(to, op.d)
    }
    asm.rr0f(0x40 | condition, to, from)
    write(op.d, to)
  }

  private mutating func add(_ op: MicroOp) {
    let (to, a, b) = (target(op.d), hostOf[Int(op.a)], hostOf[Int(op.b)])
    if a < 16, b < 16, to != a, to != b {
      ensure(a)
      ensure(b)
      asm.rx(0x8d, to, a, b, 0)
      write(op.d, to)
    } else {
      binary(op, Alu.add, commutes: true)
    }
  }

  private mutating func addImmediate(_ op: MicroOp) {
    guard let imm = Int32(exactly: op.imm) else {
      asm.constant(Host.rdx, op.imm)
      readInto(Host.rax, op.a)
      asm.rr(Alu.add, Host.rax, Host.rdx)
      write(op.d, Host.rax)
      return
    }
    let to = target(op.d)
    let from = read(op.a, else: to)
    if from == to {
      asm.ri(0, to, imm)
    } else {
      asm.lea(to, from, imm)
    }
    write(op.d, to)
  }

  private mutating func addImmediateWord(_ op: MicroOp) {
    let to = target(op.d)
    let from = read(op.a, else: Host.rax)
    let imm = Int32(truncatingIfNeeded: op.imm)
    if imm == 0 {
      asm.rr(Alu.movsxd, to, from)
    } else if from == to {
      asm.ri(0, to, imm, w: false)
      asm.rr(Alu.movsxd, to, to)
    } else {
      asm.lea(to, from, imm, w: false)
      asm.rr(Alu.movsxd, to, to)
    }
    write(op.d, to)
  }

  /// d = a op imm, by the number of the operation.
  private mutating func immediate(_ op: MicroOp, _ group: UInt8) {
    let to = target(op.d)
    if let imm = Int32(exactly: op.imm) {
      if group == 4, imm == 255 {
        asm.rr0f(0xb6, to, read(op.a, else: Host.rax), w: false, byteRM: true)
      } else if group == 6, imm == -1 {
        readInto(to, op.a)
        asm.group3(2, to)
      } else {
        readInto(to, op.a)
        asm.ri(group, to, imm)
      }
    } else {
      asm.constant(Host.rdx, op.imm)
      readInto(to, op.a)
      asm.rr(group << 3 | 3, to, Host.rdx)
    }
    write(op.d, to)
  }

  /// Shifts and rotations by a slot: 0 rol, 1 ror, 4 shl, 5 shr, 7 sar.
  private mutating func shift(_ op: MicroOp, _ group: UInt8, w: Bool = true) {
    if cache.features.bmi2, group >= 4 {
      let to = target(op.d)
      let by = read(op.b, else: Host.rcx)
      let from = read(op.a, else: Host.rax)
      // shlx 66, sarx f3, shrx f2.
      asm.vex38(0xf7, to, by, from, w: w, prefix: group == 4 ? 1 : group == 7 ? 2 : 3)
      if !w { asm.rr(Alu.movsxd, to, to) }
      write(op.d, to)
      return
    }
    readInto(Host.rcx, op.b)
    readInto(Host.rax, op.a)
    asm.shiftCL(group, Host.rax, w: w)
    if !w { asm.rr(Alu.movsxd, Host.rax, Host.rax) }
    write(op.d, Host.rax)
  }

  private mutating func shiftImmediate(
    _ op: MicroOp, _ group: UInt8, w: Bool = true, extends: Bool = true
  ) {
    let to = target(op.d)
    let count = UInt8(truncatingIfNeeded: op.imm & (w ? 63 : 31))
    readInto(to, op.a)
    if count != 0 {
      asm.shift(group, to, count, w: w)
    } else if !extends {
      asm.rr(Alu.mov, to, to, w: false)
    }
    if !w, extends { asm.rr(Alu.movsxd, to, to) }
    write(op.d, to)
  }

  private mutating func compare(_ op: MicroOp, _ condition: UInt8) {
    if op.b == Slot.zero {
      let a = read(op.a, else: Host.rax)
      asm.test(a, a)
    } else {
      alu(Alu.cmp, read(op.a, else: Host.rax), op.b)
    }
    setBit(op, condition)
  }

  private mutating func compareImmediate(_ op: MicroOp, _ condition: UInt8) {
    let a = read(op.a, else: Host.rax)
    if let imm = Int32(exactly: op.imm) {
      asm.ri(7, a, imm)
    } else {
      asm.constant(Host.rdx, op.imm)
      asm.rr(Alu.cmp, a, Host.rdx)
    }
    setBit(op, condition)
  }

  /// d = 1 where the condition holds, else 0.
  mutating func setBit(_ op: MicroOp, _ condition: UInt8) {
    let to = target(op.d)
    asm.set(condition, Host.rax)
    asm.rr0f(0xb6, to, Host.rax, w: false)
    write(op.d, to)
  }

  private mutating func multiply(_ op: MicroOp, w: Bool = true, extends: Bool = true) {
    let to = target(op.d)
    let swaps = op.b == op.d && op.a != op.d
    readInto(to, swaps ? op.b : op.a)
    let b = read(swaps ? op.a : op.b, else: Host.rdx)
    asm.rr0f(0xaf, to, b, w: w)
    if !w, extends { asm.rr(Alu.movsxd, to, to) }
    write(op.d, to)
  }

  private mutating func multiplyHigh(_ op: MicroOp) {
    readInto(Host.rax, op.a)
    let b = read(op.b, else: Host.rcx)
    asm.group3(op.op == .mulh ? 5 : 4, b)
    if op.op == .mulhsu {
      // A negative first operand was taken for itself plus 2^64.
      readInto(Host.rax, op.a)
      asm.shift(7, Host.rax, 63)
      asm.rr(Alu.and, Host.rax, b)
      asm.rr(Alu.sub, Host.rdx, Host.rax)
    }
    write(op.d, Host.rdx)
  }

  /// Division, with RISC-V's results for zero and overflow.
  private mutating func divide(_ op: MicroOp) {
    let w: Bool
    switch op.op {
    case .div, .divu, .rem, .remu: w = true
    default: w = false
    }
    let isSigned = op.op == .div || op.op == .rem || op.op == .divw || op.op == .remw
    let remainder = op.op == .rem || op.op == .remu || op.op == .remw || op.op == .remuw
    readInto(Host.rax, op.a)
    readInto(Host.rcx, op.b)
    asm.test(Host.rcx, Host.rcx, w: w)
    let zero = asm.jccShort(Condition.equal)
    var minusOne: UnsafeMutablePointer<UInt8>?
    if isSigned {
      asm.ri(7, Host.rcx, -1, w: w)
      minusOne = asm.jccShort(Condition.equal)
      if w { asm.byte(0x48) }
      asm.byte(0x99)
      asm.group3(7, Host.rcx, w: w)
    } else {
      asm.rr(Alu.xor, Host.rdx, Host.rdx, w: false)
      asm.group3(6, Host.rcx, w: w)
    }
    let done = asm.jmpShort()
    asm.bindShort(zero)
    if remainder {
      asm.mov(Host.rdx, Host.rax)
    } else {
      asm.constant(Host.rax, -1)
    }
    var doneToo: UnsafeMutablePointer<UInt8>?
    if let minusOne {
      doneToo = asm.jmpShort()
      asm.bindShort(minusOne)
      asm.rr(Alu.xor, Host.rdx, Host.rdx, w: false)
      asm.group3(3, Host.rax, w: w)
    }
    asm.bindShort(done)
    if let doneToo { asm.bindShort(doneToo) }
    let result = remainder ? Host.rdx : Host.rax
    if !w { asm.rr(Alu.movsxd, result, result) }
    write(op.d, result)
  }

  // MARK: Bits

  private mutating func shiftAdd(_ op: MicroOp, word: Bool) {
    let a: HostRegister
    if word {
      a = Host.rax
      asm.rr(Alu.mov, a, read(op.a, else: Host.rax), w: false)
    } else {
      a = read(op.a, else: Host.rax)
    }
    let b = read(op.b, else: Host.rdx)
    let to = target(op.d)
    asm.rx(0x8d, to, b, a, scale: UInt8(truncatingIfNeeded: op.imm & 3), 0)
    write(op.d, to)
  }

  private mutating func notSecond(_ op: MicroOp) {
    readInto(Host.rax, op.b)
    asm.group3(2, Host.rax)
    alu(op.op == .andn ? Alu.and : Alu.or, Host.rax, op.a)
    write(op.d, Host.rax)
  }

  private mutating func count(_ op: MicroOp, _ code: UInt8, feature: Bool, w: Bool = true) {
    guard feature else { return step() }
    let to = target(op.d)
    asm.rr0f(code, to, read(op.a, else: Host.rax), w: w, prefix: 0xf3)
    write(op.d, to)
  }

  /// d = a, unless the condition holds between a and b: then b.
  private mutating func choose(_ op: MicroOp, _ condition: UInt8) {
    readInto(Host.rax, op.a)
    let b = read(op.b, else: Host.rdx)
    asm.rr(Alu.cmp, Host.rax, b)
    asm.rr0f(0x40 | condition, Host.rax, b)
    write(op.d, Host.rax)
  }

  private mutating func extend(_ op: MicroOp, _ code: UInt8, w: Bool) {
    let to = target(op.d)
    asm.rr0f(code, to, read(op.a, else: Host.rax), w: w, byteRM: true)
    write(op.d, to)
  }

  private mutating func bit(_ op: MicroOp, _ code: UInt8) {
    readInto(Host.rax, op.a)
    let b = read(op.b, else: Host.rcx)
    asm.rr0f(code, b, Host.rax)
    write(op.d, Host.rax)
  }

  private mutating func bitImmediate(_ op: MicroOp, _ group: UInt8) {
    let to = target(op.d)
    readInto(to, op.a)
    asm.bit(group, to, UInt8(truncatingIfNeeded: op.imm & 63))
    write(op.d, to)
  }

  /// d = a, or zero where b compares so with zero.
  private mutating func zeroIf(_ op: MicroOp, _ condition: UInt8) {
    readInto(Host.rax, op.a)
    let b = read(op.b, else: Host.rdx)
    asm.constant(Host.rcx, 0)
    asm.test(b, b)
    asm.rr0f(0x40 | condition, Host.rax, Host.rcx)
    write(op.d, Host.rax)
  }

  // MARK: Not compiled

  /// Has the interpreter do the micro-op on the slots.
  mutating func step() { call(cache.stubs.step) }

  /// Calls the micro-op's helper.
  mutating func callHelper() { call(cache.stubs.helper) }

  private mutating func call(_ stub: Int) {
    store(dirty)
    opOffset(at)
    blockAddress(Host.rdx)
    asm.call(cache.writable + stub)
    forgetRegisters()
    // Whoever was called may have changed translations.
    checkRecord()
  }

  private mutating func helperExit() { leave(by: cache.stubs.helperExit) }

  private mutating func interpretRest() { leave(by: cache.stubs.rest) }

  private mutating func leave(by stub: Int) {
    store(dirty)
    opOffset(at)
    blockAddress(Host.rdx)
    asm.jmp(to: cache.writable + stub)
  }
}
#endif
