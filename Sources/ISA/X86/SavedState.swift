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
      tags |= (isFull ? 0 : 3) << UInt64(number * 2)
    }
    x[Registers.fpTag] = tags
    for index in 0..<16 {
      x[Registers.vector + 4 * index] = words[20 + 2 * index]
      x[Registers.vector + 4 * index + 1] = words[21 + 2 * index]
    }
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
