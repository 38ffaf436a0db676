import Engine

// The x87 unit: every instruction is one helper, its memory operand loaded or seen to be writable
// before.

extension Lift {
  var x87Format: X87Format {
    guard row.count > 0, row[0].place == .memory else { return .none }
    switch row[0].type {
    case .ss: return .single
    case .sd: return .double
    case .w: return .word
    case .d: return .dword
    case .q: return .qword
    case .t: return i.op == .fbld || i.op == .fbstp ? .decimal : .extended
    default: return .control
    }
  }

  /// Leaves pc and opcode where the unit takes them from.
  private func x87Place() {
    let opcode = UInt64(i.opcode & 7) << 8 | UInt64(i.modRM)
    builder.emit(
      .movi, d: T.next,
      imm: Int64(bitPattern: opcode << 48 | builder.pc & 0xffff_ffff_ffff))
  }

  /// The memory operand's address in a slot, and for the unit's data pointer its offset.
  private func x87Address() -> (slot: UInt8, stack: UInt8) {
    let at = address()
    let stack = at.stack
    let slot = addressValue(at)
    if let segment {
      builder.emit(.sub, d: T.v, a: slot, b: segment)
    } else {
      builder.emit(.mov, d: T.v, a: slot)
    }
    return (slot, stack)
  }

  private func x87(
    _ helper: Helper, a: UInt8 = 0, d: UInt8 = 0, e: UInt8 = 0, format: X87Format = .none
  ) {
    x87Place()
    builder.emit(helper: helper, d: d, a: a, b: format.rawValue, c: i.modRM & 7, e: e)
  }

  /// With an operand from memory, if it has one.
  private func x87Reading(_ helper: Helper, d: UInt8 = 0, e: UInt8 = 0) {
    let format = x87Format
    if format != .none {
      builder.emit(helper: x87Check)
      let (slot, stack) = x87Address()
      let at = Address(a: slot, imm: 0, stack: stack)
      if format.size == 10 {
        load(T.vector, at, 8)
        load(T.vector + 1, Address(a: slot, imm: 8, stack: stack), 2)
      } else {
        load(T.vector, at, format.size)
      }
    }
    x87(helper, d: d, e: e, format: format)
  }

  /// With a result to memory, if it has one.
  private func x87Writing(_ helper: Helper, e: UInt8) {
    let format = x87Format
    guard format != .none else { return x87(helper, e: e) }
    builder.emit(helper: x87Check)
    let (slot, stack) = x87Address()
    x87CheckStore(slot, stack, format.size)
    x87(helper, a: slot, e: e, format: format)
  }

  /// Faults as a store would.
  private func x87CheckStore(_ slot: UInt8, _ stack: UInt8, _ size: UInt8) {
    builder.observeAccess(a: slot, size: size, isStore: true)
    let at = Address(a: slot, imm: 0, stack: stack)
    builder.announces = false
    defer { builder.announces = true }
    if size == 10 {
      loadForModify(Lift.sink, at, 8)
      loadForModify(Lift.sink, Address(a: slot, imm: 8, stack: stack), 2)
    } else {
      loadForModify(Lift.sink, at, size)
    }
  }

  /// - Returns: whether the instruction is one of the x87 unit.
  mutating func x87Instruction() -> Bool {
    if row.written != 0 { known = .unknown }
    let reversed = i.opcode == 0xdc || i.opcode == 0xde
    var arithmetic: UInt8 = i.rmIsRegister && reversed ? X87Arithmetic.toOther : 0
    if i.rmIsRegister, i.opcode == 0xde { arithmetic |= X87Arithmetic.pops }
    switch i.op {
    case .fadd: x87Reading(x87Arithmetic, d: X87Arithmetic.add.rawValue, e: arithmetic)
    case .fmul: x87Reading(x87Arithmetic, d: X87Arithmetic.mul.rawValue, e: arithmetic)
    case .fsub: x87Reading(x87Arithmetic, d: X87Arithmetic.sub.rawValue, e: arithmetic)
    case .fsubr: x87Reading(x87Arithmetic, d: X87Arithmetic.subr.rawValue, e: arithmetic)
    case .fdiv: x87Reading(x87Arithmetic, d: X87Arithmetic.div.rawValue, e: arithmetic)
    case .fdivr: x87Reading(x87Arithmetic, d: X87Arithmetic.divr.rawValue, e: arithmetic)
    case .fcom, .fcomp, .fcompp, .fucom, .fucomp, .fucompp, .fcomi, .fcomip, .fucomi, .fucomip,
      .ftst:
      x87Reading(x87Compare, e: comparison)
    case .fld, .fild, .fbld: x87Reading(x87Load)
    case .fldconst: x87(x87Constant, d: i.modRM & 7)
    case .fst: x87Writing(x87Store, e: 0)
    case .fstp: x87Writing(x87Store, e: 1)
    case .fist: x87Writing(x87StoreInteger, e: 0)
    case .fistp: x87Writing(x87StoreInteger, e: X87IntegerStore.pops)
    case .fisttp:
      x87Writing(x87StoreInteger, e: X87IntegerStore.pops | X87IntegerStore.truncates)
    case .fbstp: x87Writing(x87StoreDecimal, e: 0)
    case .fxch: x87(x87Exchange)
    case .fcmov:
      // B, E, BE, U; their opposites with DB.
      let condition: UInt8 = [2, 4, 6, 10][Int(i.modRM >> 3 & 3)]
      x87(x87ConditionalMove, d: i.opcode == 0xda ? condition : condition + 1)
    case .fchs: x87(x87Unary, d: X87Unary.chs.rawValue)
    case .fabs: x87(x87Unary, d: X87Unary.abs.rawValue)
    case .fsqrt: x87(x87Unary, d: X87Unary.sqrt.rawValue)
    case .frndint: x87(x87Unary, d: X87Unary.rndint.rawValue)
    case .fxam: x87(x87Unary, d: X87Unary.xam.rawValue)
    case .fscale: x87(x87Binary, d: X87Binary.scale.rawValue)
    case .fprem: x87(x87Binary, d: X87Binary.prem.rawValue)
    case .fprem1: x87(x87Binary, d: X87Binary.prem1.rawValue)
    case .fxtract: x87(x87Binary, d: X87Binary.xtract.rawValue)
    case .f2xm1: x87(x87Transcendental, d: X87Function.f2xm1.rawValue)
    case .fyl2x: x87(x87Transcendental, d: X87Function.yl2x.rawValue)
    case .fyl2xp1: x87(x87Transcendental, d: X87Function.yl2xp1.rawValue)
    case .fpatan: x87(x87Transcendental, d: X87Function.patan.rawValue)
    case .fptan: x87(x87Transcendental, d: X87Function.ptan.rawValue)
    case .fsin: x87(x87Transcendental, d: X87Function.sin.rawValue)
    case .fcos: x87(x87Transcendental, d: X87Function.cos.rawValue)
    case .fsincos: x87(x87Transcendental, d: X87Function.sincos.rawValue)
    case .ffree: x87(x87Stack, d: X87Stack.free.rawValue)
    case .ffreep: x87(x87Stack, d: X87Stack.freep.rawValue)
    case .fincstp: x87(x87Stack, d: X87Stack.increment.rawValue)
    case .fdecstp: x87(x87Stack, d: X87Stack.decrement.rawValue)
    case .fnop: x87(x87Stack, d: X87Stack.nop.rawValue)
    default: return x87Control()
    }
    return true
  }

  private var comparison: UInt8 {
    switch i.op {
    case .fcomp: X87Compare.popOnce
    case .fcompp: X87Compare.popTwice
    case .fucom: X87Compare.quiet
    case .fucomp: X87Compare.quiet | X87Compare.popOnce
    case .fucompp: X87Compare.quiet | X87Compare.popTwice
    case .fcomi: X87Compare.toFlags
    case .fcomip: X87Compare.toFlags | X87Compare.popOnce
    case .fucomi: X87Compare.toFlags | X87Compare.quiet
    case .fucomip: X87Compare.toFlags | X87Compare.quiet | X87Compare.popOnce
    case .ftst: X87Compare.withZero
    default: 0
    }
  }

  /// An instruction with a memory image of many parts; `e` is the operand size.
  func image(_ helper: Helper, d: UInt8 = 0) {
    let at = address()
    builder.emit(helper: helper, d: d, a: addressValue(at), c: at.stack, e: i.size)
  }

  private mutating func x87Control() -> Bool {
    switch i.op {
    case .fwait: builder.emit(helper: x87Check)
    case .fnop8087: break
    case .fninit: builder.emit(helper: x87Reset)
    case .fnclex: builder.emit(helper: x87Reset, d: 1)
    case .fldcw:
      builder.emit(helper: x87Check)
      load(T.a, address(), 2)
      builder.emit(helper: x87LoadControl, a: T.a)
    case .fnstcw: store(UInt8(Registers.fpControl), address(), 2)
    case .fnstsw:
      if i.hasMemory {
        store(UInt8(Registers.fpStatus), address(), 2)
      } else {
        builder.emit(.ins16, d: Lift.rax, a: UInt8(Registers.fpStatus))
      }
    case .fldenv, .frstor:
      builder.emit(helper: x87Check)
      image(x87LoadEnvironment, d: i.op == .frstor ? 1 : 0)
    case .fnstenv, .fnsave: image(x87StoreEnvironment, d: i.op == .fnsave ? 1 : 0)
    default: return false
    }
    return true
  }
}
