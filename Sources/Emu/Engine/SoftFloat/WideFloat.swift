/// A number with 128 significant bits, for functions that have no exact result: 64 bits more than
/// they deliver, of which rounding on the way costs a few.
struct WideFloat {
  var negative: Bool
  /// The number is `significand` / 2^127 times two to the power of this.
  var exponent: Int
  /// With bit 127 set, or zero for a zero.
  var significand: UInt128

  static let zero = WideFloat(false, 0, 0)
  static let one = WideFloat(false, 0, 1 << 127)

  /// A number whose significand already has bit 127 set, or is zero.
  init(_ negative: Bool, _ exponent: Int, _ significand: UInt128) {
    self.negative = negative
    self.exponent = exponent
    self.significand = significand
  }

  /// A finite datum.
  init(_ a: Extended) {
    if a.isZero {
      self = .zero
    } else {
      let x = a.parts
      self.init(x.negative, x.exponent &- Extended.bias, UInt128(x.significand) &<< 64)
    }
  }

  init(_ value: Int) {
    self.init(.fromInteger(Int64(value)))
  }

  /// A number with a magnitude that is next to nothing less.
  var justLess: WideFloat {
    significand == 1 << 127
      ? WideFloat(negative, exponent &- 1, .max)
      : WideFloat(negative, exponent, significand &- 1)
  }

  var isZero: Bool { significand == 0 }
  var negated: WideFloat { WideFloat(!negative, exponent, significand) }
  var halved: WideFloat { WideFloat(negative, exponent &- 1, significand) }
  var doubled: WideFloat { WideFloat(negative, exponent &+ 1, significand) }

  private static func normalized(_ negative: Bool, _ exponent: Int, _ value: UInt128) -> WideFloat {
    if value == 0 { return .zero }
    let shift = value.leadingZeroBitCount
    return WideFloat(
      negative, exponent &- shift, value &<< UInt128(truncatingIfNeeded: shift))
  }

  static func + (a: WideFloat, b: WideFloat) -> WideFloat {
    if a.isZero { return b }
    if b.isZero { return a }
    let aIsBig =
      a.exponent > b.exponent || a.exponent == b.exponent && a.significand >= b.significand
    let big = aIsBig ? a : b
    let small = aIsBig ? b : a
    let high = big.significand &>> 1
    let low = shiftRightJam(small.significand &>> 1, min(big.exponent &- small.exponent, 128))
    return normalized(
      big.negative, big.exponent &+ 1,
      big.negative == small.negative ? high &+ low : high &- low)
  }

  static func - (a: WideFloat, b: WideFloat) -> WideFloat { a + b.negated }

  static func * (a: WideFloat, b: WideFloat) -> WideFloat {
    normalized(
      a.negative != b.negative, a.exponent &+ b.exponent &+ 1,
      a.significand.multipliedFullWidth(by: b.significand).high)
  }

  /// `b` is not zero.
  static func / (a: WideFloat, b: WideFloat) -> WideFloat {
    if a.isZero { return a }
    let below = a.significand < b.significand
    var rest = below ? a.significand : a.significand &- b.significand
    var quotient: UInt128 = below ? 0 : 1
    for _ in 0..<(below ? 128 : 127) {
      let carry = rest &>> 127 != 0
      rest &<<= 1
      quotient &<<= 1
      if carry || rest >= b.significand {
        rest &-= b.significand
        quotient |= 1
      }
    }
    return normalized(
      a.negative != b.negative, a.exponent &- b.exponent &- (below ? 1 : 0), quotient)
  }

  /// Divided by a small number.
  func divided(by n: UInt128) -> WideFloat {
    let (quotient, rest) = significand.quotientAndRemainder(dividingBy: n)
    if quotient == 0 { return .zero }
    let shift = UInt128(truncatingIfNeeded: quotient.leadingZeroBitCount)
    return WideFloat(
      negative, exponent &- Int(shift), quotient &<< shift | (rest &<< shift) / n)
  }

  /// Whether adding `self` to `sum` changes nothing that matters.
  func isNegligible(beside sum: WideFloat) -> Bool {
    isZero || !sum.isZero && sum.exponent &- exponent > 130
  }
}

/// The functions, on reduced arguments.
extension WideFloat {
  static let ln2 = WideFloat(false, -1, 0xb172_17f7_d1cf_79ab_c9e3_b398_03f2_f6af)
  static let log2e = WideFloat(false, 0, 0xb8aa_3b29_5c17_f0bb_be87_fed0_691d_3e89)
  static let pi = WideFloat(false, 1, 0xc90f_daa2_2168_c234_c4c6_628b_80dc_1cd1)
  private static let atanHalf = WideFloat(false, -2, 0xed63_382b_0dda_7b45_6fe4_45ec_bc3a_8d03)

  /// e^x - 1 for |x| < 1.
  var exponentialMinusOne: WideFloat {
    var term = self
    var sum = self
    var n: UInt128 = 2
    while true {
      term = (term * self).divided(by: n)
      if term.isNegligible(beside: sum) { return sum }
      sum = sum + term
      n &+= 1
    }
  }

  /// x - x^3/3! + x^5/5! and so on.
  var sine: WideFloat { alternating(self, 2) }

  /// 1 - x^2/2! + x^4/4! and so on.
  var cosine: WideFloat { alternating(.one, 1) }

  private func alternating(_ first: WideFloat, _ from: UInt128) -> WideFloat {
    let square = (self * self).negated
    var term = first
    var sum = first
    var n = from
    while true {
      term = (term * square).divided(by: n &* (n &+ 1))
      if term.isNegligible(beside: sum) { return sum }
      sum = sum + term
      n &+= 2
    }
  }

  /// x + x^3/3 + x^5/5 and so on, or with alternating signs.
  private func odd(alternating: Bool) -> WideFloat {
    let square = alternating ? (self * self).negated : self * self
    var power = self
    var sum = self
    var n: UInt128 = 3
    while true {
      power = power * square
      let term = power.divided(by: n)
      if term.isNegligible(beside: sum) { return sum }
      sum = sum + term
      n &+= 2
    }
  }

  /// The natural logarithm of (1 + x) / (1 - x).
  var twiceInverseTanh: WideFloat { odd(alternating: false).doubled }

  /// The logarithm to base 2 of a positive number.
  var logarithm: WideFloat {
    var mantissa = WideFloat(false, 0, significand)
    var power = exponent
    // From one half of the root of two up to the root.
    if significand > 0xb504_f333_f9de_6484 &<< 64 {
      power &+= 1
      mantissa = mantissa.halved
    }
    let ratio = (mantissa - .one) / (mantissa + .one)
    let log = ratio.twiceInverseTanh * .log2e
    return power == 0 ? log : WideFloat(power) + log
  }

  /// The arc tangent for 0 <= x <= 1.
  var arcTangent: WideFloat {
    // Above a quarter from one half on, so that the series is short.
    guard exponent >= -2 else { return odd(alternating: true) }
    let half = WideFloat.one.halved
    let rest = (self - half) / (.one + self.halved)
    return rest.isZero ? Self.atanHalf : Self.atanHalf + rest.odd(alternating: true)
  }
}
