/// A rounding-direction attribute, numbered as the RISC-V `frm` field numbers it.
///
/// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
///   Floating-Point', section 'Floating-Point Control and Status Register'.
/// - SeeAlso: IEEE 754-2019, clause 'Rounding-direction attributes'.
public enum RoundingMode: UInt8, Sendable, CaseIterable {
  /// To nearest, ties to even (RNE).
  case nearestEven = 0
  /// Toward zero (RTZ).
  case towardZero = 1
  /// Toward negative infinity (RDN).
  case down = 2
  /// Toward positive infinity (RUP).
  case up = 3
  /// To nearest, ties to the greater magnitude (RMM).
  case nearestMaxMagnitude = 4
}

/// The accrued exceptions, in the bit order of the RISC-V `fflags` field.
///
/// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
///   Floating-Point', section 'Floating-Point Control and Status Register'.
/// - SeeAlso: IEEE 754-2019, clause 'Exceptions and default exception handling'.
public struct FloatFlags: OptionSet, Sendable, Hashable {
  /// The bits of `fflags`.
  public var rawValue: UInt8

  /// Makes a set from the bits of `fflags`.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The delivered result differs from the exact one (NX).
  public static let inexact = FloatFlags(rawValue: 1)
  /// The result is tiny and inexact (UF).
  public static let underflow = FloatFlags(rawValue: 2)
  /// The rounded result exceeds the greatest finite number (OF).
  public static let overflow = FloatFlags(rawValue: 4)
  /// An exact infinity came of finite operands (DZ).
  public static let divideByZero = FloatFlags(rawValue: 8)
  /// The operation has no usefully definable result (NV).
  public static let invalid = FloatFlags(rawValue: 16)
}

/// Which NaN an operation delivers.
public enum NaNPolicy: UInt8, Sendable {
  /// Every NaN result is the positive quiet NaN with an empty payload.
  ///
  /// A multiply-add of infinity by zero is invalid even when the addend is a quiet NaN.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', sections 'NaN Generation and Propagation' and 'Single-Precision
  ///   Floating-Point Computational Instructions'.
  case canonical
  /// The first operand that is a NaN, made quiet; with none, the negative empty NaN.
  ///
  /// A multiply-add of infinity by zero is not invalid when the addend is a quiet NaN.
  ///
  /// - SeeAlso: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, sections
  ///   'Operating on SNaNs and QNaNs' and 'QNaN Floating-Point Indefinite'.
  case propagateFirst
}

/// When smallness is looked for: IEEE 754 lets the implementer choose, so an ISA must say.
///
/// - SeeAlso: IEEE 754-2019, clause 'Underflow'.
public enum Tininess: UInt8, Sendable {
  /// After rounding as though the exponent were unbounded: RISC-V, x86.
  case afterRounding
  /// On the exact result: Arm.
  case beforeRounding
}

/// The integer delivered for an operand that no integer of the destination represents.
///
/// - SeeAlso: IEEE 754-2019, clause 'Details of conversions from floating-point to integer
///   formats', which leaves the value open.
public enum IntegerSaturation: UInt8, Sendable {
  /// The nearest limit; a NaN becomes the greatest integer.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions', the table 'Domains of float-to-integer conversions and behavior for
  ///   invalid inputs'.
  case riscv
  /// The integer indefinite: the sign bit alone when signed, every bit when unsigned.
  ///
  /// - SeeAlso: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2,
  ///   'CVTTSD2SI' and 'VCVTTSD2USI'.
  case x86
  /// The nearest limit; a NaN becomes zero.
  ///
  /// - SeeAlso: Arm Architecture Reference Manual for A-profile, pseudocode function `FPToFixed`.
  case arm
}

/// What an operation reads besides its operands, and the exceptions it adds to.
public struct FloatEnvironment: Sendable, Hashable {
  /// The rounding direction of the next operation.
  public var rounding: RoundingMode
  /// The accrued exceptions: operations set bits and never clear one.
  public var flags: FloatFlags
  /// The ISA's choice of NaN results.
  public let nan: NaNPolicy
  /// The ISA's choice of when a result counts as tiny.
  public let tininess: Tininess
  /// The ISA's choice of integers for operands out of range.
  public let saturation: IntegerSaturation

  /// Makes an environment; what is not said is as RISC-V has it.
  public init(
    rounding: RoundingMode = .nearestEven, flags: FloatFlags = [], nan: NaNPolicy = .canonical,
    tininess: Tininess = .afterRounding, saturation: IntegerSaturation = .riscv
  ) {
    self.rounding = rounding
    self.flags = flags
    self.nan = nan
    self.tininess = tininess
    self.saturation = saturation
  }

  /// Adds exceptions.
  @inline(__always)
  mutating func raise(_ exceptions: FloatFlags) {
    flags = FloatFlags(rawValue: flags.rawValue | exceptions.rawValue)
  }
}
