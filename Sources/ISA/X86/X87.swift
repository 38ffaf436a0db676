import Engine

/// The bits of the x87 status word.
///
/// - SeeAlso: Intel SDM volume 1, 'x87 FPU Status Register'.
enum StatusWord {
  static let exceptions: UInt64 = 0x3f
  static let stackFault: UInt64 = 1 << 6
  static let summary: UInt64 = 1 << 7
  static let c0: UInt64 = 1 << 8, c1: UInt64 = 1 << 9, c2: UInt64 = 1 << 10, c3: UInt64 = 1 << 14
  static let codes = c0 | c1 | c2 | c3
  static let top: UInt64 = 7 << 11
  static let busy: UInt64 = 1 << 15

  /// The condition codes of a comparison.
  static func codes(_ order: ExtendedEnvironment.Order) -> UInt64 {
    switch order {
    case .greater: 0
    case .less: c0
    case .equal: c3
    case .unordered: c0 | c2 | c3
    }
  }
}

/// What an x87 instruction's memory operand is; zero: there is none.
enum X87Format: UInt8 {
  case none, single, double, word, dword, qword, extended, decimal, control

  /// Bytes in memory.
  var size: UInt8 {
    switch self {
    case .none, .control: 0
    case .word: 2
    case .single, .dword: 4
    case .double, .qword: 8
    case .extended, .decimal: 10
    }
  }
}

/// The x87 unit while one instruction executes: registers in slots, exceptions in the environment.
///
/// Register `n` of the stack is physical register `(top + n) % 8`, two slots each. Of a tag
/// only whether it is *empty* counts; the others follow from the contents.
///
/// - SeeAlso: Intel SDM volume 1, 'Programming with the x87 FPU'.
struct X87 {
  let x: Slots
  var env: ExtendedEnvironment

  /// Begins a waiting instruction.
  ///
  /// The lift has put pc and opcode (the latter from bit 48 on) into `Lift.T.next`, and a memory
  /// operand's offset into `Lift.T.v`.
  ///
  /// - Returns: `nil`, with #MF pending, where an earlier instruction's exception waits.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Software Exception Handling', 'x87 FPU Instruction and Data
  ///   (Operand) Pointers'.
  init?(_ x: Slots, _ raw: UnsafePointer<MicroOpRaw>) {
    guard X87.isReady(x) else { return nil }
    self.init(x)
    let place = x[Int(Lift.T.next)]
    x[Registers.fpInstruction] = UInt64(bitPattern: Int64(bitPattern: place &<< 16) &>> 16)
    x[Registers.fpOpcode] = place &>> 48
    if raw.op.b != 0 { x[Registers.fpOperand] = x[Int(Lift.T.v)] }
    x[Registers.fpStatus] &= ~StatusWord.c1
  }

  init(_ x: Slots) {
    self.x = x
    let control = x[Registers.fpControl]
    let precision: Int
    switch (control >> 8) & 3 {
    case 0: precision = 24
    case 2: precision = 53
    default: precision = 64
    }
    env = ExtendedEnvironment(
      rounding: SSEFloat.mode(control >> 10), precision: precision,
      masked: ExtendedFlags(rawValue: UInt16(truncatingIfNeeded: control & 0x3f)))
  }

  /// Raises #MF where an unmasked exception waits.
  static func isReady(_ x: Slots) -> Bool {
    if x[Registers.fpStatus] & StatusWord.summary == 0 { return true }
    X64.raise(x, 16)
    return false
  }

  // MARK: The stack

  var top: Int { Int(x[Registers.fpStatus] >> 11) & 7 }

  func turn(_ by: Int) {
    let new = UInt64((top &+ by) & 7)
    x[Registers.fpStatus] = x[Registers.fpStatus] & ~StatusWord.top | new &<< 11
  }

  func physical(_ index: Int) -> Int { (top &+ index) & 7 }

  func isEmpty(_ index: Int) -> Bool {
    Self.isEmpty(x, physical(index))
  }

  /// Whether physical register `number` is empty.
  static func isEmpty(_ x: Slots, _ number: Int) -> Bool {
    (x[Registers.fpTag] &>> UInt64(number &* 2)) & 3 == 3
  }

  func markEmpty(_ index: Int) { x[Registers.fpTag] |= 3 &<< UInt64(physical(index) &* 2) }

  subscript(_ index: Int) -> Extended {
    get {
      let slot = Registers.x87 &+ physical(index) &* 2
      return Extended(
        significand: x[slot], signExponent: UInt16(truncatingIfNeeded: x[slot &+ 1]))
    }
    nonmutating set {
      let slot = Registers.x87 &+ physical(index) &* 2
      x[slot] = newValue.significand
      x[slot &+ 1] = UInt64(newValue.signExponent)
      x[Registers.fpTag] &= ~(3 &<< UInt64(physical(index) &* 2))
    }
  }

  func pop() {
    markEmpty(0)
    turn(1)
  }

  /// Pushes; the caller has seen that there is room.
  func push(_ value: Extended) {
    turn(-1)
    self[0] = value
  }

  func setCodes(_ codes: UInt64) {
    x[Registers.fpStatus] = x[Registers.fpStatus] & ~StatusWord.codes | codes
  }

  func setC1(_ set: Bool) { if set { x[Registers.fpStatus] |= StatusWord.c1 } }

  // MARK: Exceptions

  /// Makes the exceptions met known.
  ///
  /// - Returns: whether the result is to be written: not where an unmasked exception of an operand
  ///   was met, and to memory not after an unmasked overflow or underflow either.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'x87 FPU Exception Handling'.
  func finish(toMemory: Bool = false) -> Bool {
    var flags = env.flags
    guard !flags.isEmpty else { return true }
    if flags.contains(.invalid) { flags = .invalid }
    if flags.contains(.divideByZero) { flags.remove(.denormal) }
    let open = flags.subtracting(env.masked)
    let before: ExtendedFlags = [.invalid, .denormal, .divideByZero]
    let stops = !open.isDisjoint(with: before)
    if stops { flags.formIntersection(before) }
    // What overflows or underflows on its way to memory and is taken is not inexact yet.
    if toMemory, !open.isDisjoint(with: [.overflow, .underflow]) { flags.remove(.inexact) }
    x[Registers.fpStatus] |= UInt64(flags.rawValue)
    if !stops, flags.contains(.inexact) { setC1(env.roundedUp) }
    if open.isEmpty { return true }
    x[Registers.fpStatus] |= StatusWord.summary | StatusWord.busy
    if stops { return false }
    return !toMemory || open.isDisjoint(with: [.overflow, .underflow])
  }

  /// Notes that the stack had too little or too much.
  ///
  /// - Returns: whether the masked answer is to be given.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Stack Overflow or Underflow Exception (#IS)'.
  func stackFault(overflow: Bool) -> Bool {
    x[Registers.fpStatus] |= StatusWord.stackFault | 1
    setC1(overflow)
    if env.masked.contains(.invalid) { return true }
    x[Registers.fpStatus] |= StatusWord.summary | StatusWord.busy
    return false
  }

  /// Pushes what an instruction loaded, or the indefinite where there is no room.
  func pushChecked(_ value: Extended) {
    if !isEmpty(-1) {
      if stackFault(overflow: true) { push(.indefinite) }
      return
    }
    // A denormal is loaded even where that exception is taken.
    if finish() || env.flags == .denormal { push(value) }
  }

  // MARK: Memory operands

  /// The operand that the lift has loaded into `Lift.T.vector`.
  ///
  /// Denormals and signalling NaNs of the smaller formats are noted.
  mutating func operand(_ format: X87Format) -> Extended {
    let low = x[Int(Lift.T.vector)]
    switch format {
    case .single: return .from(single: UInt32(truncatingIfNeeded: low), &env)
    case .double: return .from(double: low, &env)
    case .word: return .fromInteger(Int64(Int16(truncatingIfNeeded: low)))
    case .dword: return .fromInteger(Int64(Int32(truncatingIfNeeded: low)))
    case .qword: return .fromInteger(Int64(bitPattern: low))
    default:
      return Extended(
        significand: low,
        signExponent: UInt16(truncatingIfNeeded: x[Int(Lift.T.vector) + 1]))
    }
  }
}
