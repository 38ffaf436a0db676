import Engine

/// The 512 bytes that FXSAVE writes and FXRSTOR reads: x87 and SSE registers.
///
/// - SeeAlso: Intel SDM volume 2, 'FXSAVE - Save x87 FPU, MMX Technology, and SSE State'.
enum SavedState {
  static let size = 512
  /// The bits of MXCSR that may be set.
  static let controlMask: UInt64 = 0xffff

  /// The words of the area.
  ///
  /// - Parameters:
  ///   - x: a hart's slots.
  ///   - wide: with 64-bit pointers to the last instruction and operand.
  /// - Returns: 64 words.
  static func words(_ x: UnsafeMutablePointer<UInt64>, wide: Bool) -> [UInt64] {
    var words = [UInt64](repeating: 0, count: size / 8)
    let tags = x[Registers.fpTag]
    var full: UInt64 = 0
    for register in 0..<8 where tags >> UInt64(register * 2) & 3 != 3 {
      full |= 1 << UInt64(register)
    }
    words[0] =
      x[Registers.fpControl] & 0xffff | (x[Registers.fpStatus] & 0xffff) << 16 | full << 32
      | (x[Registers.fpOpcode] & 0x7ff) << 48
    let mask: UInt64 = wide ? .max : 0xffff_ffff
    words[1] = x[Registers.fpInstruction] & mask
    words[2] = x[Registers.fpOperand] & mask
    words[3] = x[Registers.mxcsr] & 0xffff_ffff | controlMask << 32
    let top = Int(x[Registers.fpStatus] >> 11 & 7)
    for index in 0..<8 {
      let register = Registers.x87 + 2 * ((top + index) & 7)
      words[4 + 2 * index] = x[register]
      words[5 + 2 * index] = x[register + 1] & 0xffff
    }
    for index in 0..<16 {
      words[20 + 2 * index] = x[Registers.vector + 4 * index]
      words[21 + 2 * index] = x[Registers.vector + 4 * index + 1]
    }
    return words
  }

  /// Whether the area may be loaded: MXCSR has no reserved bit.
  static func isValid(_ words: [UInt64]) -> Bool {
    words.count >= 52 && words[3] & 0xffff_ffff & ~controlMask == 0
  }

  /// Makes the words of an area the state.
  static func load(_ words: [UInt64], _ x: UnsafeMutablePointer<UInt64>, wide: Bool) {
    guard words.count >= 52 else { return }
    x[Registers.fpControl] = words[0] & 0xffff
    x[Registers.fpStatus] = words[0] >> 16 & 0xffff
    x[Registers.fpOpcode] = words[0] >> 48 & 0x7ff
    let mask: UInt64 = wide ? .max : 0xffff_ffff
    x[Registers.fpInstruction] = words[1] & mask
    x[Registers.fpOperand] = words[2] & mask
    x[Registers.mxcsr] = words[3] & controlMask
    let top = Int(x[Registers.fpStatus] >> 11 & 7)
    var tags: UInt64 = 0
    for index in 0..<8 {
      let number = (top + index) & 7
      let register = Registers.x87 + 2 * number
      x[register] = words[4 + 2 * index]
      x[register + 1] = words[5 + 2 * index] & 0xffff
      let isFull = words[0] >> UInt64(32 + number) & 1 == 1
      tags |= (isFull ? tag(x[register], x[register + 1]) : 3) << UInt64(number * 2)
    }
    x[Registers.fpTag] = tags
    for index in 0..<16 {
      x[Registers.vector + 4 * index] = words[20 + 2 * index]
      x[Registers.vector + 4 * index + 1] = words[21 + 2 * index]
    }
  }

  /// The tag of a register that is not empty: valid, zero, or special.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'x87 FPU Tag Word'.
  private static func tag(_ significand: UInt64, _ exponent: UInt64) -> UInt64 {
    let exponent = exponent & 0x7fff
    if exponent == 0, significand == 0 { return 1 }
    return exponent == 0 || exponent == 0x7fff || significand >> 63 == 0 ? 2 : 0
  }

  /// The state of a new program.
  ///
  /// - SeeAlso: Linux, `arch/x86/kernel/fpu/core.c`, `fpstate_reset`.
  static func reset(_ x: UnsafeMutablePointer<UInt64>) {
    resetFPU(x)
    x[Registers.mxcsr] = 0x1f80
    for register in 0..<16 { x[Registers.x87 + register] = 0 }
    for word in 0..<64 { x[Registers.vector + word] = 0 }
  }

  /// What FNINIT sets.
  static func resetFPU(_ x: UnsafeMutablePointer<UInt64>) {
    x[Registers.fpControl] = 0x37f
    x[Registers.fpStatus] = 0
    x[Registers.fpTag] = 0xffff
    x[Registers.fpOpcode] = 0
    x[Registers.fpInstruction] = 0
    x[Registers.fpOperand] = 0
  }
}

/// What an instruction asks of the FPU before it does anything.
enum FPUCheck {
  /// #NM under EM or TS.
  static let control: UInt8 = 0
  /// The same, and #MF for an exception that waits.
  static let pending: UInt8 = 1
  /// #NM under MP and TS, and #MF.
  static let wait: UInt8 = 2
  /// FXSAVE and FXRSTOR: as `control`.
  static let state: UInt8 = 3
}

/// #NM and #MF, as ``FPUCheck`` `c` says.
///
/// - SeeAlso: Intel SDM volume 3, 'Device Not Available Exception (#NM)'; volume 1, 'Synchronization
///   of x87 FPU Exceptions'.
let requireFPU: Helper = { x, raw in
  let cr0 = x[SystemSlot.cr0]
  let isWait = raw.op.c == FPUCheck.wait
  let off =
    isWait
    ? cr0 & CR0.monitor != 0 && cr0 & CR0.taskSwitched != 0
    : cr0 & (CR0.emulation | CR0.taskSwitched) != 0
  if off { return X64.raise(x, 7) }
  guard isWait || raw.op.c == FPUCheck.pending else { return }
  // An exception is flagged that is not masked.
  if x[Registers.fpStatus] & ~x[Registers.fpControl] & 0x3f != 0 { X64.raise(x, 16) }
}

/// FXSAVE to the address in `a`; with `c` FXSAVE64.
let saveState: Helper = { x, raw in
  let op = raw.op
  let address = x[Int(op.a)]
  guard address & 15 == 0 else { return X64.raise(x, 13) }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    // Nothing is stored unless all can be.
    _ = hart.loadForModify(address, 8)
    if x[Slot.pending] == Pending.exception.rawValue { return }
    _ = hart.loadForModify(address &+ 408, 8)
    if x[Slot.pending] == Pending.exception.rawValue { return }
    for (index, word) in SavedState.words(x, wide: op.c == 1).prefix(52).enumerated() {
      hart.store(address &+ UInt64(index * 8), 8, word)
    }
  }
}

/// FXRSTOR from the address in `a`; with `c` FXRSTOR64.
let restoreState: Helper = { x, raw in
  let op = raw.op
  let address = x[Int(op.a)]
  guard address & 15 == 0 else { return X64.raise(x, 13) }
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    var words: [UInt64] = []
    for index in 0..<52 {
      words.append(hart.load(address &+ UInt64(index * 8), 8))
      if x[Slot.pending] == Pending.exception.rawValue { return }
    }
    guard SavedState.isValid(words) else { return X64.raise(x, 13) }
    SavedState.load(words, x, wide: op.c == 1)
  }
}

/// FNINIT.
let resetFPU: Helper = { x, _ in SavedState.resetFPU(x) }

/// FNCLEX: exception flags, ES, SF and B.
let clearFPUExceptions: Helper = { x, _ in x[Registers.fpStatus] &= 0x7f00 }

/// FLDCW from `a`.
///
/// - SeeAlso: Intel SDM volume 2, 'FLDCW - Load x87 FPU Control Word'.
let loadFPUControl: Helper = { x, raw in
  // Bit 6 is always set, and those above 12 never.
  x[Registers.fpControl] = x[Int(raw.op.a)] & 0x1f7f | 0x40
}
