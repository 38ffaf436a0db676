import Engine

// The x87 unit's control: words, environment and state in memory.

extension X87 {
  /// The tag of physical register `number` as FSTENV stores it: valid, zero, special, empty.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'x87 FPU Tag Word'.
  static func tag(_ x: Slots, _ number: Int) -> UInt64 {
    if isEmpty(x, number) { return 3 }
    let slot = Registers.x87 &+ number &* 2
    let exponent = x[slot &+ 1] & 0x7fff
    if exponent == 0 { return x[slot] == 0 ? 1 : 2 }
    return exponent == 0x7fff || x[slot] &>> 63 == 0 ? 2 : 0
  }

  /// All tags: two bits for every physical register.
  static func tagWord(_ x: Slots) -> UInt64 {
    (0..<8).reduce(0) { $0 | tag(x, $1) &<< UInt64($1 &* 2) }
  }

  /// The control word as it is kept: bit 6 is always set, reserved ones are clear.
  static func setControl(_ x: Slots, _ word: UInt64) {
    x[Registers.fpControl] = word & 0x1f3f | 0x40
    summarize(x)
  }

  /// Takes over a status word; the summary follows from the rest.
  static func setStatus(_ x: Slots, _ word: UInt64) {
    x[Registers.fpStatus] = word & 0xffff
    summarize(x)
  }

  /// Whether an unmasked exception waits.
  private static func summarize(_ x: Slots) {
    let waits = x[Registers.fpStatus] & ~x[Registers.fpControl] & StatusWord.exceptions != 0
    let both = StatusWord.summary | StatusWord.busy
    x[Registers.fpStatus] = x[Registers.fpStatus] & ~both | (waits ? both : 0)
  }

  /// - SeeAlso: Intel SDM volume 2, 'FINIT/FNINIT - Initialize Floating-Point Unit'.
  static func initialize(_ x: Slots) {
    x[Registers.fpControl] = 0x37f
    x[Registers.fpStatus] = 0
    x[Registers.fpTag] = 0xffff
    x[Registers.fpOpcode] = 0
    x[Registers.fpInstruction] = 0
    x[Registers.fpOperand] = 0
  }
}

/// A waiting instruction that is no more than that; the memory operand's access follows.
let x87Check: Helper = { x, _ in _ = X87.isReady(x) }

/// FLDCW, of `a`.
let x87LoadControl: Helper = { x, raw in X87.setControl(x, x[Int(raw.op.a)] & 0xffff) }

/// FNINIT and FNCLEX by `d`.
let x87Reset: Helper = { x, raw in
  if raw.op.d == 0 { return X87.initialize(x) }
  x[Registers.fpStatus] &= ~(0xff | StatusWord.busy)
}

/// FNSTENV and FNSAVE at the address in `a`: 14 or 28 bytes by the operand size `e`, with `d` and the
/// registers.
///
/// - SeeAlso: Intel SDM volume 1, 'x87 FPU State in Memory' (figures of the protected-mode images).
let x87StoreEnvironment: Helper = { x, raw in
  let op = raw.op
  let wide = op.e != 2
  let at = x[Int(op.a)]
  var words: [UInt64] = [
    x[Registers.fpControl], x[Registers.fpStatus], X87.tagWord(x), x[Registers.fpInstruction],
  ]
  // The segments are no longer told.
  if wide {
    for index in 0..<3 { words[index] |= 0xffff_0000 }
    words.append(x[Registers.fpOpcode] &<< 16)
    words += [x[Registers.fpOperand], 0xffff_0000]
  } else {
    words += [0, x[Registers.fpOperand], 0]
  }
  let size: UInt64 = wide ? 4 : 2
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let bytes = size &* 7 &+ (op.d != 0 ? 80 : 0)
    guard hart.canStore(x, at, bytes, stack: op.c) else { return }
    for (index, word) in words.enumerated() {
      hart.observedStore(at &+ UInt64(index) &* size, size, word)
    }
    guard op.d != 0 else { return }
    let fpu = X87(x)
    for index in 0..<8 {
      let value = fpu[raw: index]
      hart.observedStore(at &+ size &* 7 &+ UInt64(index) &* 10, 8, value.significand)
      hart.observedStore(at &+ size &* 7 &+ UInt64(index) &* 10 &+ 8, 2, UInt64(value.signExponent))
    }
  }
  guard x[Slot.pending] != Pending.exception.rawValue else { return }
  // All exceptions are masked from now on.
  if op.d != 0 { X87.initialize(x) } else { X87.setControl(x, x[Registers.fpControl] | 0x3f) }
}

/// FLDENV and FRSTOR, the opposites.
let x87LoadEnvironment: Helper = { x, raw in
  let op = raw.op
  let size: UInt64 = op.e != 2 ? 4 : 2
  let at = x[Int(op.a)]
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    let bytes = size &* 7 &+ (op.d != 0 ? 80 : 0)
    guard hart.canLoad(x, at, bytes, stack: op.c) else { return }
    let words = (0..<7).map { hart.observedLoad(at &+ UInt64($0) &* size, size) }
    x[Registers.fpTag] = words[2] & 0xffff
    x[Registers.fpInstruction] = words[3]
    x[Registers.fpOpcode] = size == 4 ? (words[4] &>> 16) & 0x7ff : 0
    x[Registers.fpOperand] = words[5]
    X87.setControl(x, words[0])
    X87.setStatus(x, words[1])
    guard op.d != 0 else { return }
    let fpu = X87(x)
    for index in 0..<8 {
      let place = at &+ size &* 7 &+ UInt64(index) &* 10
      fpu[raw: index] = Extended(
        significand: hart.observedLoad(place, 8),
        signExponent: UInt16(truncatingIfNeeded: hart.observedLoad(place &+ 8, 2)))
    }
  }
}

extension X87 {
  /// A register whether it is in use or not.
  subscript(raw index: Int) -> Extended {
    get { self[index] }
    nonmutating set {
      let slot = Registers.x87 &+ physical(index) &* 2
      x[slot] = newValue.significand
      x[slot &+ 1] = UInt64(newValue.signExponent)
    }
  }
}

extension Hart {
  /// Whether `size` bytes may be stored to (with `stack` 1 through the stack segment); else the fault is pending.
  func canStore(_ x: Slots, _ at: UInt64, _ size: UInt64, stack: UInt8) -> Bool {
    touch(x, at, size, stack) { _ = loadForModify($0, 1) }
  }

  /// Whether `size` bytes may be loaded; else the fault is pending.
  func canLoad(_ x: Slots, _ at: UInt64, _ size: UInt64, stack: UInt8) -> Bool {
    touch(x, at, size, stack) { _ = load($0, 1) }
  }

  /// The first byte of every page, in order.
  private func touch(
    _ x: Slots, _ at: UInt64, _ size: UInt64, _ stack: UInt8, _ access: (UInt64) -> Void
  ) -> Bool {
    x[SystemSlot.stackAccess] = UInt64(stack)
    defer { x[SystemSlot.stackAccess] = 0 }
    var va = at
    while true {
      access(va)
      if x[Slot.pending] == Pending.exception.rawValue { return false }
      let step = 4096 &- (va & 4095)
      if va &+ step &- at >= size { return true }
      va &+= step
    }
  }
}
