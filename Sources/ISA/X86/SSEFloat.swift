import Engine

/// The bits of MXCSR.
///
/// - SeeAlso: Intel SDM volume 1, 'MXCSR Control and Status Register'.
enum MXCSR {
  static let invalid: UInt64 = 1, denormal: UInt64 = 2, divide: UInt64 = 4
  static let overflow: UInt64 = 8, underflow: UInt64 = 16, precision: UInt64 = 32
  static let denormalsAreZero: UInt64 = 1 << 6
  static let flushToZero: UInt64 = 1 << 15
}

/// One instruction's floating point: what MXCSR asks for, and the exceptions met so far.
struct SSEFloat {
  private let mxcsr: UInt64
  private(set) var raised: UInt64 = 0
  /// Exceptions of steps that are over.
  private var earlier: UInt64 = 0
  /// Exceptions found by looking at results and not at operands.
  private static let afterwards = MXCSR.overflow | MXCSR.underflow | MXCSR.precision
  private let rounding: RoundingMode

  init(_ x: Slots) {
    mxcsr = x[Registers.mxcsr]
    rounding = Self.mode(mxcsr >> 13)
  }

  /// The rounding mode by its number in MXCSR and in immediates.
  static func mode(_ number: UInt64) -> RoundingMode {
    switch number & 3 {
    case 0: .nearestEven
    case 1: .down
    case 2: .up
    default: .towardZero
    }
  }

  /// Makes the exceptions known.
  ///
  /// - Returns: false where one is unmasked: then the destination stays as it is.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'SIMD Floating-Point Exception (#XM)'.
  func finish(_ x: Slots) -> Bool {
    guard raised | earlier != 0 else { return true }
    let unmasked = unmasked
    x[Registers.mxcsr] |= earlier
    // An unmasked exception of an operand comes before there is any result.
    x[Registers.mxcsr] |= unmasked & ~Self.afterwards == 0 ? raised : raised & ~Self.afterwards
    if unmasked != 0 {
      X64.raise(x, 19)
      return false
    }
    return true
  }

  /// Ends a step of an instruction that has several.
  ///
  /// - Returns: whether the next one is to follow.
  mutating func endStep() -> Bool {
    guard unmasked == 0 else { return false }
    earlier |= raised
    raised = 0
    return true
  }

  /// The exceptions that are to be taken.
  var unmasked: UInt64 { raised & ~(mxcsr >> 7) & 0x3f }

  // MARK: Formats

  @inline(__always)
  static func infinity(_ double: Bool) -> UInt64 {
    double ? 0x7ff0_0000_0000_0000 : 0x7f80_0000
  }
  @inline(__always)
  static func sign(_ double: Bool) -> UInt64 { double ? 1 << 63 : 1 << 31 }
  @inline(__always)
  static func leastNormal(_ double: Bool) -> UInt64 { double ? 1 << 52 : 1 << 23 }
  @inline(__always)
  static func isNaN(_ a: UInt64, _ double: Bool) -> Bool {
    a & ~sign(double) > infinity(double)
  }
  @inline(__always)
  static func isSignaling(_ a: UInt64, _ double: Bool) -> Bool {
    isNaN(a, double) && a & (leastNormal(double) >> 1) == 0
  }
  @inline(__always)
  static func isDenormal(_ a: UInt64, _ double: Bool) -> Bool {
    let magnitude = a & ~sign(double)
    return magnitude != 0 && magnitude < leastNormal(double)
  }

  /// An operand as DAZ has it.
  @inline(__always)
  private func operand(_ a: UInt64, _ double: Bool) -> UInt64 {
    mxcsr & MXCSR.denormalsAreZero != 0 && Self.isDenormal(a, double)
      ? a & Self.sign(double) : a
  }

  private mutating func note(_ flags: FloatFlags) {
    if flags.contains(.inexact) { raised |= MXCSR.precision }
    if flags.contains(.underflow) { raised |= MXCSR.underflow }
    if flags.contains(.overflow) { raised |= MXCSR.overflow }
    if flags.contains(.divideByZero) { raised |= MXCSR.divide }
    if flags.contains(.invalid) { raised |= MXCSR.invalid }
  }

  private func environment() -> FloatEnvironment {
    FloatEnvironment(
      rounding: rounding, nan: .propagateFirst, tininess: .afterRounding, saturation: .x86)
  }

  /// Notes what came of an operation and flushes a tiny result.
  ///
  /// An overflow or underflow that is to be taken does not count the bits that its own treatment
  /// would lose; `scaled` repeats the operation where the exponent has room.
  private mutating func result(
    _ bits: UInt64, _ env: FloatEnvironment, _ double: Bool, denormal: Bool,
    scaled: (inout FloatEnvironment) -> Void
  ) -> UInt64 {
    var flags = env.flags
    let taken =
      flags.contains(.overflow) && mxcsr & MXCSR.overflow << 7 == 0
      || (flags.contains(.underflow) || Self.isDenormal(bits, double))
        && mxcsr & MXCSR.underflow << 7 == 0
    if taken {
      var again = environment()
      scaled(&again)
      flags.remove(.inexact)
      if again.flags.contains(.inexact) { flags.insert(.inexact) }
    }
    if denormal && !env.flags.contains(.invalid) && !env.flags.contains(.divideByZero) {
      raised |= MXCSR.denormal
    }
    note(flags)
    let tiny = Self.isDenormal(bits, double) || env.flags.contains(.underflow)
    guard tiny else { return bits }
    if mxcsr & MXCSR.underflow << 7 == 0 {
      // Unmasked, tininess alone is enough.
      raised |= MXCSR.underflow
      return bits
    } else if mxcsr & MXCSR.flushToZero != 0 {
      raised |= MXCSR.underflow | MXCSR.precision
      return bits & Self.sign(double)
    }
    return bits
  }

  // MARK: Operations

  enum Arithmetic { case add, sub, mul, div, min, max }

  mutating func arithmetic(
    _ what: Arithmetic, _ first: UInt64, _ second: UInt64, _ double: Bool
  ) -> UInt64 {
    let a = operand(first, double)
    let b = operand(second, double)
    let nan = Self.isNaN(a, double) || Self.isNaN(b, double)
    let denormal = !nan && (Self.isDenormal(a, double) || Self.isDenormal(b, double))
    if what == .min || what == .max { return extreme(what == .min, a, b, double, nan, denormal) }
    var env = environment()
    let bits: UInt64
    if double {
      switch what {
      case .add: bits = Float64Ops.add(a, b, &env)
      case .sub: bits = Float64Ops.sub(a, b, &env)
      case .mul: bits = Float64Ops.mul(a, b, &env)
      default: bits = Float64Ops.div(a, b, &env)
      }
    } else {
      let a = UInt32(truncatingIfNeeded: a)
      let b = UInt32(truncatingIfNeeded: b)
      switch what {
      case .add: bits = UInt64(Float32Ops.add(a, b, &env))
      case .sub: bits = UInt64(Float32Ops.sub(a, b, &env))
      case .mul: bits = UInt64(Float32Ops.mul(a, b, &env))
      default: bits = UInt64(Float32Ops.div(a, b, &env))
      }
    }
    return result(bits, env, double, denormal: denormal) { env in
      var x = a
      var y = b
      if what == .mul || what == .div {
        x = Self.centred(a, double)
        y = Self.centred(b, double)
      } else {
        // A sum that overflows: an eighth of it does not.
        x = Self.eighth(a, double)
        y = Self.eighth(b, double)
      }
      Self.repeated(what, x, y, double, &env)
    }
  }

  /// A finite number's significand as a number from 1 up to 2.
  private static func centred(_ a: UInt64, _ double: Bool) -> UInt64 {
    let least = leastNormal(double)
    var fraction = a & (least - 1)
    if a & infinity(double) == 0 {
      guard fraction != 0 else { return a }
      while fraction & least == 0 { fraction <<= 1 }
      fraction &= least - 1
    }
    return fraction | (double ? 1023 : 127) * least
  }

  private static func eighth(_ a: UInt64, _ double: Bool) -> UInt64 {
    let least = leastNormal(double)
    return a & infinity(double) >= 4 * least
      ? a - 3 * least : a & sign(double) | (isNonZero(a, double) ? 1 : 0)
  }

  private static func isNonZero(_ a: UInt64, _ double: Bool) -> Bool { a & ~sign(double) != 0 }

  private static func repeated(
    _ what: Arithmetic, _ a: UInt64, _ b: UInt64, _ double: Bool, _ env: inout FloatEnvironment
  ) {
    let x = UInt32(truncatingIfNeeded: a)
    let y = UInt32(truncatingIfNeeded: b)
    switch what {
    case .add: _ = double ? Float64Ops.add(a, b, &env) : UInt64(Float32Ops.add(x, y, &env))
    case .sub: _ = double ? Float64Ops.sub(a, b, &env) : UInt64(Float32Ops.sub(x, y, &env))
    case .mul: _ = double ? Float64Ops.mul(a, b, &env) : UInt64(Float32Ops.mul(x, y, &env))
    default: _ = double ? Float64Ops.div(a, b, &env) : UInt64(Float32Ops.div(x, y, &env))
    }
  }

  /// The second operand where they are equal or one is a NaN.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'MINPD - Minimum of Packed Double Precision Floating-Point
  ///   Values'.
  private mutating func extreme(
    _ least: Bool, _ a: UInt64, _ b: UInt64, _ double: Bool, _ nan: Bool, _ denormal: Bool
  ) -> UInt64 {
    if nan {
      raised |= MXCSR.invalid
      return b
    }
    if denormal { raised |= MXCSR.denormal }
    return (least ? less(a, b, double) : less(b, a, double)) ? a : b
  }

  /// Of numbers.
  private func less(_ a: UInt64, _ b: UInt64, _ double: Bool) -> Bool {
    double
      ? Double(bitPattern: a) < Double(bitPattern: b)
      : Float(bitPattern: UInt32(truncatingIfNeeded: a))
        < Float(bitPattern: UInt32(truncatingIfNeeded: b))
  }

  mutating func squareRoot(_ from: UInt64, _ double: Bool) -> UInt64 {
    let a = operand(from, double)
    var env = environment()
    let bits =
      double
      ? Float64Ops.sqrt(a, &env) : UInt64(Float32Ops.sqrt(UInt32(truncatingIfNeeded: a), &env))
    return result(bits, env, double, denormal: Self.isDenormal(a, double)) { _ in }
  }

  enum Order { case less, equal, greater, unordered }

  /// Compares; a quiet NaN is invalid too where `signals`.
  mutating func order(
    _ first: UInt64, _ second: UInt64, _ double: Bool, signals: Bool
  ) -> Order {
    let a = operand(first, double)
    let b = operand(second, double)
    if Self.isNaN(a, double) || Self.isNaN(b, double) {
      if signals || Self.isSignaling(a, double) || Self.isSignaling(b, double) {
        raised |= MXCSR.invalid
      }
      return .unordered
    }
    if Self.isDenormal(a, double) || Self.isDenormal(b, double) { raised |= MXCSR.denormal }
    return less(a, b, double) ? .less : less(b, a, double) ? .greater : .equal
  }

  /// Whether predicate `number` of the compare instructions holds.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'Comparison Predicate for CMPPD and VCMPPD Instructions'.
  mutating func predicate(
    _ number: UInt8, _ a: UInt64, _ b: UInt64, _ double: Bool
  ) -> Bool {
    let base = number & 15
    let signaling = [1, 2, 5, 6, 9, 10, 13, 14].contains(base) != (number & 16 != 0)
    let order = order(a, b, double, signals: signaling)
    switch base {
    case 0: return order == .equal
    case 1: return order == .less
    case 2: return order == .less || order == .equal
    case 3: return order == .unordered
    case 4: return order != .equal
    case 5: return order != .less
    case 6: return order == .greater || order == .unordered
    case 7: return order != .unordered
    case 8: return order == .equal || order == .unordered
    case 9: return order == .less || order == .unordered
    case 10: return order != .greater
    case 11: return false
    case 12: return order == .less || order == .greater
    case 13: return order == .greater || order == .equal
    case 14: return order == .greater
    default: return true
    }
  }

  /// The reciprocal, or that of the root, to twelve bits: neither MXCSR nor an exception is looked at.
  ///
  /// Processors differ in the bits; the relative error is at most 1.5 * 2^-12 on all of them, here a
  /// third of that.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'RCPPS - Compute Reciprocals of Packed Single Precision
  ///   Floating-Point Values' and 'RSQRTPS'.
  static func approximate(_ a: UInt32, root: Bool) -> UInt32 {
    let sign = a & 0x8000_0000
    let magnitude = a & 0x7fff_ffff
    if magnitude > 0x7f80_0000 { return a | 0x40_0000 }
    if magnitude < 0x80_0000 { return sign | 0x7f80_0000 }
    if root, sign != 0 { return 0xffc0_0000 }
    if magnitude == 0x7f80_0000 { return sign }
    let value = Double(Float(bitPattern: magnitude))
    let exact = 1 / (root ? value.squareRoot() : value)
    // To nearest of twelve bits behind the point.
    let bits = (exact.bitPattern &+ 1 << 39) & ~(1 << 40 &- 1)
    let rounded = Float(Double(bitPattern: bits))
    return rounded < Float.leastNormalMagnitude ? sign : sign | rounded.bitPattern
  }

  // MARK: Fused

  /// `a * b + c` rounded once; `negated` says of product (1) and addend (2) that they are.
  mutating func fused(
    _ first: UInt64, _ second: UInt64, _ third: UInt64, _ double: Bool, negated: UInt8
  ) -> UInt64 {
    var a = operand(first, double)
    let b = operand(second, double)
    var c = operand(third, double)
    let nan = Self.isNaN(a, double) || Self.isNaN(b, double) || Self.isNaN(c, double)
    let denormal = !nan && [a, b, c].contains { Self.isDenormal($0, double) }
    if !nan {
      if negated & 1 != 0 { a ^= Self.sign(double) }
      if negated & 2 != 0 { c ^= Self.sign(double) }
    }
    var env = environment()
    let bits = Self.multiplyAdd(a, b, c, double, &env)
    return result(bits, env, double, denormal: denormal) { env in
      // The same with the exponents near zero, as far apart as they were or far enough.
      let limit = double ? 400 : 100
      let distance = Self.power(c, double) - Self.power(a, double) - Self.power(b, double)
      let x = Self.centred(a, double) | a & Self.sign(double)
      let y = Self.centred(b, double) | b & Self.sign(double)
      var z = Self.centred(c, double) | c & Self.sign(double)
      if Self.isNonZero(c, double) {
        let by = UInt64(bitPattern: Int64(max(-limit, min(limit, distance))))
        z = z &+ by &* Self.leastNormal(double)
      }
      _ = Self.multiplyAdd(x, y, z, double, &env)
    }
  }

  /// The exponent of a finite number, not biased; of a denormal that of its leading one.
  private static func power(_ a: UInt64, _ double: Bool) -> Int {
    let least = leastNormal(double)
    let field = Int((a & infinity(double)) / least)
    let bias = double ? 1023 : 127
    if field != 0 { return field - bias }
    let fraction = a & (least - 1)
    return fraction.leadingZeroBitCount > 63
      ? 0
      : 1 - bias - (fraction.leadingZeroBitCount - least.leadingZeroBitCount)
  }

  private static func multiplyAdd(
    _ a: UInt64, _ b: UInt64, _ c: UInt64, _ double: Bool, _ env: inout FloatEnvironment
  ) -> UInt64 {
    if double { return Float64Ops.fma(a, b, c, &env) }
    return UInt64(
      Float32Ops.fma(
        UInt32(truncatingIfNeeded: a), UInt32(truncatingIfNeeded: b),
        UInt32(truncatingIfNeeded: c), &env))
  }

  // MARK: Halves

  /// The bits of a single with the value of a half; DAZ does not matter.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'VCVTPH2PS - Convert Packed FP16 Values to Single Precision
  ///   Floating-Point Values'.
  mutating func fromHalf(_ half: UInt16) -> UInt32 {
    let sign = UInt32(half & 0x8000) << 16
    let field = UInt32(half &>> 10 & 31)
    let fraction = UInt32(half & 0x3ff)
    if field == 31 {
      if fraction != 0, fraction & 0x200 == 0 { raised |= MXCSR.invalid }
      return sign | 0x7f80_0000 | fraction << 13 | (fraction != 0 ? 0x40_0000 : 0)
    }
    if field != 0 { return sign | (field + 112) << 23 | fraction << 13 }
    // In units of 2^-24.
    return sign | (Float(fraction) * 0x1p-24).bitPattern
  }

  /// The bits of a half.
  ///
  /// With bit 2 of `control` as MXCSR rounds; FTZ does not matter.
  mutating func toHalf(_ single: UInt32, _ control: UInt8) -> UInt16 {
    var env = ExtendedEnvironment(
      rounding: control & 4 == 0 ? Self.mode(UInt64(control)) : rounding,
      masked: ExtendedFlags(rawValue: UInt16(mxcsr >> 7 & 0x3f)))
    let value = Extended.from(
      single: UInt32(truncatingIfNeeded: operand(UInt64(single), false)), &env)
    let half = env.toHalf(value)
    raised |= UInt64(env.flags.rawValue)
    return half
  }

  // MARK: Conversions

  /// To an integer; `truncates` or as MXCSR rounds.
  mutating func toInteger(
    _ from: UInt64, _ double: Bool, wide: Bool, truncates: Bool
  ) -> UInt64 {
    let a = operand(from, double)
    var env = environment()
    if truncates { env.rounding = .towardZero }
    let single = UInt32(truncatingIfNeeded: a)
    let value: UInt64
    if wide {
      value = UInt64(
        bitPattern: double ? Float64Ops.toInt64(a, &env) : Float32Ops.toInt64(single, &env))
    } else {
      value = UInt64(
        UInt32(
          bitPattern: double ? Float64Ops.toInt32(a, &env) : Float32Ops.toInt32(single, &env)))
    }
    note(env.flags)
    return value
  }

  mutating func fromInteger(_ value: Int64, _ double: Bool) -> UInt64 {
    var env = environment()
    let bits =
      double ? Float64Ops.fromInt64(value, &env) : UInt64(Float32Ops.fromInt64(value, &env))
    note(env.flags)
    return bits
  }

  mutating func toDouble(_ from: UInt64) -> UInt64 {
    let a = operand(from, false)
    var env = environment()
    let bits = Float64Ops.fromFloat32(UInt32(truncatingIfNeeded: a), &env)
    return result(bits, env, true, denormal: Self.isDenormal(a, false)) { _ in }
  }

  mutating func toSingle(_ from: UInt64) -> UInt64 {
    let a = operand(from, true)
    var env = environment()
    let bits = UInt64(Float32Ops.fromFloat64(a, &env))
    return result(bits, env, false, denormal: Self.isDenormal(a, true)) { env in
      _ = Float32Ops.fromFloat64(Self.centred(a, true), &env)
    }
  }

  /// To an integer in floating-point form, by the rounding control of ROUNDPS.
  ///
  /// - SeeAlso: Intel SDM volume 2, 'ROUNDPD - Round Packed Double Precision Floating-Point Values'.
  mutating func round(_ from: UInt64, _ double: Bool, _ control: UInt8) -> UInt64 {
    let a = operand(from, double)
    if Self.isNaN(a, double) {
      if Self.isSignaling(a, double) { raised |= MXCSR.invalid }
      return a | Self.leastNormal(double) >> 1
    }
    let exponent = (a & Self.infinity(double)) / Self.leastNormal(double)
    // Large enough to be an integer.
    if exponent >= (double ? 1023 + 52 : 127 + 23) { return a }
    var env = environment()
    if control & 4 == 0 { env.rounding = Self.mode(UInt64(control)) }
    let whole: UInt64
    if double {
      whole = Float64Ops.fromInt64(Float64Ops.toInt64(a, &env), &env)
    } else {
      let integer = Float32Ops.toInt64(UInt32(truncatingIfNeeded: a), &env)
      whole = UInt64(Float32Ops.fromInt64(integer, &env))
    }
    if control & 8 == 0 { note(env.flags) }
    return whole | a & Self.sign(double)
  }
}
