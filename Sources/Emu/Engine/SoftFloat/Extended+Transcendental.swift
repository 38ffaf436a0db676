// The transcendental x87 functions. Their results are those of the exact function rounded once, but
// for a few cases in 2^60; processors may differ in the last place.
//
// - SeeAlso: Intel SDM volume 1, 'Transcendental Instruction Accuracy', 'Approximation of Pi'.

extension ExtendedEnvironment {
  /// Rounds a result that is not exact.
  private mutating func deliver(_ value: WideFloat) -> Extended {
    flags.insert(.inexact)
    let result = pack(
      value.negative, value.exponent &+ Extended.bias, value.significand | 1, precision: 64)
    return result
  }

  /// What a trigonometric function makes of its argument.
  public enum Circular: Sendable {
    /// A result; of FSINCOS and FPTAN both.
    case result(Extended, Extended)
    /// The argument is 2^63 or more.
    case outOfRange
  }

  /// Which trigonometric functions are wanted.
  public enum CircularFunction: Sendable { case sine, cosine, both, tangent }

  /// FSIN, FCOS, FSINCOS, FPTAN.
  public mutating func circular(_ function: CircularFunction, _ a: Extended) -> Circular {
    if isSpecial(a) {
      let result = nan(a, a)
      return .result(result, result)
    }
    if a.isInfinite {
      let result = invalid()
      return .result(result, result)
    }
    if a.isZero { return .result(function == .cosine ? .one : a, .one) }
    if a.exponent >= Extended.bias &+ 63 { return .outOfRange }
    noteDenormal(a)
    let (x, quadrant) = Self.reduced(a)
    let tiny = x.exponent < -66
    // What is less than the argument or one by next to nothing.
    let sine = tiny ? x.justLess : x.sine
    let cosine = tiny ? WideFloat(false, -1, .max) : x.cosine
    if function == .tangent {
      if quadrant & 1 == 1 {
        return .result(deliver((cosine / (sine.isZero ? x : sine)).negated), .one)
      }
      let value = tiny ? WideFloat(x.negative, x.exponent, x.significand | 1) : sine / cosine
      return .result(deliver(value), .one)
    }
    let values = [sine, cosine, sine.negated, cosine.negated]
    if function == .sine { return .result(deliver(values[quadrant]), .one) }
    let other = deliver(values[(quadrant + 1) & 3])
    if function == .cosine { return .result(other, other) }
    return .result(deliver(values[quadrant]), other)
  }

  /// The argument less a multiple of half of pi, and which quadrant that is.
  ///
  /// Pi has 66 bits.
  private static func reduced(_ a: Extended) -> (WideFloat, Int) {
    let parts = a.parts
    let power = parts.exponent &- Extended.bias
    if power < -1 { return (WideFloat(a), 0) }
    // In units of 2^-65.
    let halfPi: UInt128 = 0x3_243f_6a88_85a3_08d3
    var rest = UInt128(parts.significand)
    var quotient = 0
    for _ in 0..<(power &+ 2) {
      rest &<<= 1
      quotient &<<= 1
      if rest >= halfPi {
        rest &-= halfPi
        quotient |= 1
      }
      quotient &= 3
    }
    var negative = false
    if rest &<< 1 > halfPi {
      rest = halfPi &- rest
      quotient &+= 1
      negative = true
    }
    let shift = rest.leadingZeroBitCount
    var x = WideFloat(
      negative, 62 &- shift, rest &<< UInt128(truncatingIfNeeded: shift))
    if rest == 0 { x = .zero }
    guard a.isNegative else { return (x, quotient & 3) }
    return (x.negated, (0 &- quotient) & 3)
  }

  /// 2^a - 1; beyond -1 to 1 there is no defined result, and the argument is delivered.
  public mutating func exponentialMinusOne(_ a: Extended) -> Extended {
    if isSpecial(a) { return nan(a, a) }
    if a.isInfinite { return a.isNegative ? Extended.one.negated : a }
    if a.isZero { return a }
    noteDenormal(a)
    if a.exponent >= Extended.bias {
      flags.insert(.inexact)
      if a.significand == 1 << 63, a.exponent == Extended.bias, a.isNegative {
        return Extended(true, Extended.bias &- 1, 1 << 63)
      }
      return a
    }
    return deliver((WideFloat(a) * .ln2).exponentialMinusOne)
  }

  /// `y` times the logarithm of `x` to base 2.
  public mutating func logarithm(_ y: Extended, of x: Extended) -> Extended {
    if isSpecial(x) || isSpecial(y) { return nan(x, y) }
    if x.isNegative && !x.isZero { return invalid() }
    if x.isZero {
      if y.isZero { return invalid() }
      if y.isInfinite { return .infinity(!y.isNegative) }
      flags.insert(.divideByZero)
      return .infinity(!y.isNegative)
    }
    if x.isInfinite {
      if y.isZero { return invalid() }
      noteDenormal(y)
      return .infinity(y.isNegative)
    }
    let isOne = x == .one
    if y.isInfinite {
      if isOne { return invalid() }
      noteDenormal(x)
      return .infinity(y.isNegative != (x.exponent < Extended.bias))
    }
    noteDenormal(x)
    noteDenormal(y)
    if y.isZero { return .zero(y.isNegative != (x.exponent < Extended.bias)) }
    if isOne { return .zero(y.isNegative) }
    let parts = x.parts
    if parts.significand == 1 << 63 {
      // An exact logarithm.
      let product = WideFloat(parts.exponent &- Extended.bias) * WideFloat(y)
      flags.insert(.inexact)
      let result = pack(
        product.negative, product.exponent &+ Extended.bias, product.significand, precision: 64)
      if result.isDenormal { flags.insert(.underflow) }
      return result
    }
    return deliver(WideFloat(x).logarithm * WideFloat(y))
  }

  /// `y` times the logarithm of `x` + 1 to base 2.
  ///
  /// Beyond 1 - sqrt(1/2) on either side there is no defined result.
  public mutating func logarithmPlusOne(_ y: Extended, of x: Extended) -> Extended {
    if isSpecial(x) || isSpecial(y) { return nan(x, y) }
    if x.isZero {
      if y.isInfinite { return invalid() }
      noteDenormal(y)
      return .zero(x.isNegative != y.isNegative)
    }
    if x.isInfinite {
      if x.isNegative || y.isZero { return invalid() }
      noteDenormal(y)
      return .infinity(y.isNegative)
    }
    if y.isInfinite {
      noteDenormal(x)
      return .infinity(x.isNegative != y.isNegative)
    }
    noteDenormal(x)
    noteDenormal(y)
    if y.isZero { return .zero(x.isNegative != y.isNegative) }
    if x.isNegative && x.exponent >= Extended.bias {
      flags.insert(.inexact)
      return x
    }
    let wide = WideFloat(x)
    if wide.exponent >= -1 { return deliver((wide + .one).logarithm * WideFloat(y)) }
    let ratio = wide / (wide + .one + .one)
    return deliver(ratio.twiceInverseTanh * .log2e * WideFloat(y))
  }

  /// The angle of the point (`x`, `y`).
  public mutating func arcTangent(_ y: Extended, over x: Extended) -> Extended {
    if isSpecial(x) || isSpecial(y) { return nan(x, y) }
    let pi = WideFloat.pi
    func angle(_ value: WideFloat, _ env: inout ExtendedEnvironment) -> Extended {
      env.deliver(WideFloat(y.isNegative, value.exponent, value.significand))
    }
    if y.isInfinite {
      if x.isInfinite {
        return angle(
          x.isNegative ? pi.halved + pi.halved.halved : pi.halved.halved, &self)
      }
      noteDenormal(x)
      return angle(pi.halved, &self)
    }
    if x.isInfinite {
      noteDenormal(y)
      return x.isNegative ? angle(pi, &self) : .zero(y.isNegative)
    }
    noteDenormal(x)
    noteDenormal(y)
    if y.isZero { return x.isNegative ? angle(pi, &self) : .zero(y.isNegative) }
    if x.isZero { return angle(pi.halved, &self) }
    var up = WideFloat(y)
    var along = WideFloat(x)
    up.negative = false
    along.negative = false
    let steep =
      up.exponent > along.exponent
      || up.exponent == along.exponent && up.significand > along.significand
    let slope = steep ? along / up : up / along
    var value = slope.exponent < -80 ? slope : slope.arcTangent
    if steep { value = pi.halved - value }
    if x.isNegative { value = pi - value }
    return angle(value, &self)
  }
}
