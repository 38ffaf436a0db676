/// Operations on binary32 datums, given and delivered as bits.
///
/// Each is correctly rounded and adds its exceptions to the environment; none can trap.
///
/// - SeeAlso: IEEE 754-2019, clause 'Operations'.
public enum Float32Ops {
  /// `a + b`.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func add(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.add(UInt64(a), UInt64(b), &env))
  }

  /// `a - b`.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func sub(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.sub(UInt64(a), UInt64(b), &env))
  }

  /// `a * b`.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func mul(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.mul(UInt64(a), UInt64(b), &env))
  }

  /// `a / b`.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func div(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.div(UInt64(a), UInt64(b), &env))
  }

  /// The square root of `a`.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func sqrt(_ a: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.sqrt(UInt64(a), &env))
  }

  /// `a * b + c` rounded once; to negate the product or the addend, flip the sign of `a` or `c`.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func fma(
    _ a: UInt32, _ b: UInt32, _ c: UInt32, _ env: inout FloatEnvironment
  ) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.fma(UInt64(a), UInt64(b), UInt64(c), &env))
  }

  /// The lesser; -0 is less than +0, and a number is preferred to a NaN.
  ///
  /// - SeeAlso: IEEE 754-2019, clause 'Minimum and maximum operations', minimumNumber.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func min(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.minimum(UInt64(a), UInt64(b), &env))
  }

  /// The greater; -0 is less than +0, and a number is preferred to a NaN.
  ///
  /// - SeeAlso: IEEE 754-2019, clause 'Minimum and maximum operations', maximumNumber.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Computational Instructions'.
  public static func max(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.maximum(UInt64(a), UInt64(b), &env))
  }

  /// Whether `a` equals `b`; only a signalling NaN is invalid.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Compare Instructions'.
  public static func eq(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> Bool {
    Binary32.equal(UInt64(a), UInt64(b), &env)
  }

  /// Whether `a` is less than `b`; any NaN is invalid.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Compare Instructions'.
  public static func lt(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> Bool {
    Binary32.less(UInt64(a), UInt64(b), &env)
  }

  /// Whether `a` is less than or equal to `b`; any NaN is invalid.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Compare Instructions'.
  public static func le(_ a: UInt32, _ b: UInt32, _ env: inout FloatEnvironment) -> Bool {
    Binary32.lessOrEqual(UInt64(a), UInt64(b), &env)
  }

  /// The class of `a` as the one set bit of a `fclass` mask.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Classify Instruction'.
  public static func classify(_ a: UInt32) -> UInt16 {
    Binary32.classMask(UInt64(a))
  }

  /// `a` rounded to `Int32`, saturating as the environment says.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func toInt32(_ a: UInt32, _ env: inout FloatEnvironment) -> Int32 {
    Int32(truncatingIfNeeded: Binary32.toInteger(UInt64(a), width: 32, signed: true, &env))
  }

  /// `a` rounded to `UInt32`, saturating as the environment says.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func toUInt32(_ a: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.toInteger(UInt64(a), width: 32, signed: false, &env))
  }

  /// `a` rounded to `Int64`, saturating as the environment says.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func toInt64(_ a: UInt32, _ env: inout FloatEnvironment) -> Int64 {
    Int64(truncatingIfNeeded: Binary32.toInteger(UInt64(a), width: 64, signed: true, &env))
  }

  /// `a` rounded to `UInt64`, saturating as the environment says.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func toUInt64(_ a: UInt32, _ env: inout FloatEnvironment) -> UInt64 {
    Binary32.toInteger(UInt64(a), width: 64, signed: false, &env)
  }

  /// `value` rounded to binary32.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func fromInt32(_ value: Int32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.fromSigned(Int64(value), &env))
  }

  /// `value` rounded to binary32.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func fromUInt32(_ value: UInt32, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.fromSigned(Int64(value), &env))
  }

  /// `value` rounded to binary32.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func fromInt64(_ value: Int64, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.fromSigned(value, &env))
  }

  /// `value` rounded to binary32.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"F" Extension for Single-Precision
  ///   Floating-Point', section 'Single-Precision Floating-Point Conversion and Move
  ///   Instructions'.
  public static func fromUInt64(_ value: UInt64, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: Binary32.fromUnsigned(value, &env))
  }

  /// A binary64 datum rounded to binary32.
  ///
  /// - SeeAlso: RISC-V Unprivileged ISA, chapter '"D" Extension for Double-Precision
  ///   Floating-Point', section 'Double-Precision Floating-Point Conversion and Move Instructions'.
  public static func fromFloat64(_ a: UInt64, _ env: inout FloatEnvironment) -> UInt32 {
    UInt32(truncatingIfNeeded: narrow(a, &env))
  }
}
