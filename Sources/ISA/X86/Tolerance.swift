import Engine

// What a row's instances need of the state, and how exactly results are judged.

extension Row {
  /// Whether it accesses an image of many parts.
  public var hasImage: Bool {
    switch op {
    case .fldenv, .fnstenv, .frstor, .fnsave, .maskmov, .fxsave, .fxrstor, .xsave, .xsaveopt,
      .xrstor, .maskmovd, .maskmovqq:
      true
    default: false
    }
  }

  /// Whether it saves or restores state components.
  public var savesState: Bool {
    switch op {
    case .fxsave, .fxrstor, .xsave, .xsaveopt, .xrstor: true
    default: false
    }
  }

  /// The bits of the x87 status word that the manual leaves open, or on which processors differ.
  ///
  /// Of a transcendental function's result the last place may differ, and so may C1, which tells how it
  /// was rounded. AMD leaves C1 where FCOMI, FUCOMI, FCMOVcc and FNOP clear it or may.
  public var undefinedCodes: UInt64 {
    switch op {
    case .fcomi, .fcomip, .fucomi, .fucomip, .fcmov, .fnop: 1 << 9
    default: isTranscendental ? 1 << 9 : 0
    }
  }

  /// The status flags that have no defined value behind an instance of the row.
  ///
  /// - Parameters:
  ///   - insn: the instance.
  ///   - rcx: RCX before it: its low byte may be a count.
  /// - Returns: a mask.
  /// - SeeAlso: Intel SDM volume 2, 'SAL/SAR/SHL/SHR - Shift', 'SHLD - Double Precision Shift Left',
  ///   'RCL/RCR/ROL/ROR - Rotate'.
  public func undefinedFlags(of insn: Insn, rcx: UInt64) -> UInt64 {
    guard traits.contains(.counted) else { return flags.undefined }
    let size = UInt64(operands[0].type == .b ? 1 : insn.size)
    var count: UInt64
    switch operands.last?.place {
    case .one: count = 1
    case .immediate: count = UInt64(bitPattern: insn.imm)
    default: count = rcx
    }
    count &= size == 8 ? 63 : 31
    guard count > 0 else { return 0 }
    var undefined = flags.undefined
    if count > 1 { undefined |= 0x800 }
    if count >= size * 8, insn.op == .shl || insn.op == .shr { undefined |= 1 }
    if count > size * 8, insn.op == .shld || insn.op == .shrd { undefined |= 0x8d5 }
    return undefined
  }

  private var isTranscendental: Bool {
    switch op {
    case .f2xm1, .fyl2x, .fyl2xp1, .fpatan, .fptan, .fsin, .fcos, .fsincos: true
    default: false
    }
  }

  /// Whether two words of singles are what RCPPS or RSQRTPS may deliver on two processors.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'RCPPS': the relative error is at most 1.5 * 2^-12.
  public func isApproximation(_ a: UInt64, _ b: UInt64) -> Bool {
    switch op {
    case .rcpps, .rcpss, .rsqrtps, .rsqrtss: break
    default: return false
    }
    func near(_ a: UInt64, _ b: UInt64) -> Bool {
      let (x, y) = (
        Float(bitPattern: UInt32(truncatingIfNeeded: a)),
        Float(bitPattern: UInt32(truncatingIfNeeded: b))
      )
      if x.bitPattern == y.bitPattern { return true }
      guard x.isFinite, y.isFinite, x.sign == y.sign else { return false }
      // What is not normal is delivered as zero, and either may just be.
      let least = Float.leastNormalMagnitude
      if x == 0 || y == 0 { return max(x.magnitude, y.magnitude) < least * 1.001 }
      return (x - y).magnitude <= 3 * 0x1p-12 * max(x.magnitude, y.magnitude)
    }
    return near(a, b) && near(a >> 32, b >> 32)
  }

  /// Whether two results of a transcendental function are next to each other.
  ///
  /// - SeeAlso: Intel SDM volume 1, 'Transcendental Instruction Accuracy': less than one unit in the
  ///   last place from the exact result in round-to-nearest, and less than one and a half else.
  public func isNear(_ a: Extended, _ b: Extended) -> Bool {
    guard isTranscendental, a.isNegative == b.isNegative else { return false }
    if a.exponent == b.exponent {
      let (low, high) = (min(a.significand, b.significand), max(a.significand, b.significand))
      return high - low <= 2
    }
    let (low, high) = a.exponent < b.exponent ? (a, b) : (b, a)
    return high.exponent - low.exponent == 1 && high.significand &- (1 << 63) <= 1
      && low.significand >= .max - 1
  }

  /// Whether the row reads or writes x87 or MMX registers.
  public var usesStack: Bool {
    switch feature {
    case .fpu, .mmx: return true
    default: break
    }
    return operands.contains {
      [.stack, .mmxReg, .mmxRm, .mmxRmRegister].contains($0.place)
    } || mnemonic.hasPrefix("fisttp") || savesState
  }
}
