import Engine
import Testing

/// What no host instruction can say, against tables in the manuals and Swift's own `Double`.
@Suite("SoftFloat keeps the rules of RISC-V and Arm")
struct SoftFloatRuleTests {
  static let subjects: [Subject] = [.single, .double]

  /// One of everything, for both formats.
  static func samples(_ shape: Shape) -> [UInt64] {
    let one = (shape.greatestField / 2) << shape.fractionBits
    let positive: [UInt64] = [
      0, 1, shape.fractionMask, shape.fractionMask + 1, one, one + 1, shape.infinity - 1,
      shape.infinity, shape.infinity + 1, shape.canonicalNaN - 1, shape.canonicalNaN,
      shape.infinity | shape.fractionMask,
    ]
    return positive + positive.map { $0 | shape.sign }
  }

  @Test("The class is the one the standard library names")
  func classes() {
    let order: [FloatingPointClassification] = [
      .negativeInfinity, .negativeNormal, .negativeSubnormal, .negativeZero, .positiveZero,
      .positiveSubnormal, .positiveNormal, .positiveInfinity, .signalingNaN, .quietNaN,
    ]
    for bits in Self.samples(.double) {
      let named = Double(bitPattern: bits).floatingPointClass
      #expect(order.firstIndex(of: named).map { 1 << $0 } == Float64Ops.classify(bits))
    }
    for bits in Self.samples(.single) {
      let named = Float(bitPattern: UInt32(bits)).floatingPointClass
      #expect(order.firstIndex(of: named).map { 1 << $0 } == Subject.single.classify(bits))
    }
  }

  @Test("Minimum and maximum prefer numbers, and order the zeros", arguments: [0, 1])
  func extremes(index: Int) {
    let subject = Self.subjects[index]
    let shape = subject.shape
    func value(_ bits: UInt64) -> Double {
      shape.width == 64 ? Double(bitPattern: bits) : Double(Float(bitPattern: UInt32(bits)))
    }
    for a in Self.samples(shape) {
      for b in Self.samples(shape) {
        var env = FloatEnvironment()
        let least = subject.min(a, b, &env)
        let lowFlags = env.flags
        env.flags = []
        let greatest = subject.max(a, b, &env)
        let flags: FloatFlags = shape.isSignaling(a) || shape.isSignaling(b) ? .invalid : []
        #expect(lowFlags == flags && env.flags == flags)
        var expected: (UInt64, UInt64)
        switch (shape.isNaN(a), shape.isNaN(b)) {
        case (true, true): expected = (shape.canonicalNaN, shape.canonicalNaN)
        case (true, false): expected = (b, b)
        case (false, true): expected = (a, a)
        case (false, false):
          expected = value(a) < value(b) ? (a, b) : (b, a)
          if shape.isZero(a) && shape.isZero(b) { expected = (a | b, a & b) }
        }
        #expect((least, greatest) == expected, "\(a) \(b)")
      }
    }
  }

  @Test("Infinity times zero plus a quiet NaN is invalid on RISC-V", arguments: [0, 1])
  func undefinedProduct(index: Int) {
    let subject = Self.subjects[index]
    let shape = subject.shape
    let payload = shape.canonicalNaN | 5
    for (a, b) in [(shape.infinity, 0), (0, shape.infinity)] {
      var env = FloatEnvironment()
      #expect(subject.fma(a, b, payload, &env) == shape.canonicalNaN && env.flags == .invalid)
      env = FloatEnvironment(nan: .propagateFirst)
      #expect(subject.fma(a, b, payload, &env) == payload && env.flags == [])
      #expect(subject.fma(a, b, 0, &env) == shape.sign | shape.canonicalNaN)
      #expect(env.flags == .invalid)
    }
  }

  /// The rows of 'Domains of float-to-integer conversions and behavior for invalid inputs'.
  @Test("Integers saturate as RISC-V says", arguments: [0, 1])
  func saturation(index: Int) {
    let subject = Self.subjects[index]
    let shape = subject.shape
    let huge = shape.infinity - 1
    let minusOne = shape.sign | (shape.greatestField / 2) << shape.fractionBits
    let high: [(Int, Bool, UInt64)] = [
      (32, true, 0x7fff_ffff), (32, false, 0xffff_ffff),
      (64, true, 0x7fff_ffff_ffff_ffff), (64, false, 0xffff_ffff_ffff_ffff),
    ]
    let low: [(Int, Bool, UInt64)] = [
      (32, true, 0xffff_ffff_8000_0000), (32, false, 0), (64, true, 1 << 63), (64, false, 0),
    ]
    func convert(
      _ a: UInt64, _ row: (Int, Bool, UInt64), _ saturation: IntegerSaturation
    )
      -> Bool
    {
      var env = FloatEnvironment(rounding: .towardZero, saturation: saturation)
      return subject.toInteger(a, row.0, row.1, &env) == row.2 && env.flags == .invalid
    }
    for policy in [IntegerSaturation.riscv, .arm] {
      for row in high {
        #expect(convert(huge, row, policy) && convert(shape.infinity, row, policy))
      }
      for row in low {
        #expect(convert(huge | shape.sign, row, policy))
        #expect(convert(shape.infinity | shape.sign, row, policy))
        if !row.1 { #expect(convert(minusOne, row, policy)) }
      }
    }
    for nan in [shape.canonicalNaN, shape.canonicalNaN | shape.sign, shape.infinity | 1] {
      for row in high {
        #expect(convert(nan, row, .riscv))
        #expect(convert(nan, (row.0, row.1, 0), .arm))
      }
    }
  }

  @Test("Binary64 ties go away from zero: sums and products through 128-bit integers")
  func exactDoubles() {
    var edges = Edges(.double, seed: 7)
    var differences = Differences()
    for _ in 0..<20_000 {
      // 27 bits by 27 bits gives ties often, 30 by 30 never seldom rounds.
      let bits = 24 + edges.below(8)
      let a = Int64(edges.below(1 << bits)) | 1
      let b = (Int64(edges.below(1 << bits)) | 1) * (edges.below(2) == 0 ? 1 : -1)
      let c = Int64(bitPattern: edges.next()) >> (12 + edges.below(50))
      let (x, y, z) = (Double(a), Double(b), Double(c))
      let product = Int128(a) * Int128(b)

      var env = FloatEnvironment(rounding: .nearestMaxMagnitude)
      let got = Float64Ops.mul(x.bitPattern, y.bitPattern, &env)
      let (expected, inexact) = Self.away(product)
      differences.check(got, env.flags, is: expected, inexact, [x.bitPattern, y.bitPattern], env)

      env.flags = []
      let fused = Float64Ops.fma(x.bitPattern, y.bitPattern, z.bitPattern, &env)
      let (sum, lost) = Self.away(product + Int128(c))
      differences.check(fused, env.flags, is: sum, lost, [x.bitPattern, y.bitPattern], env)

      // A half of the last place, from an addend scaled up out of its reach.
      let scale = edges.below(12)
      let wide = Double(c) * Double(1 << scale)
      env.flags = []
      let added = Float64Ops.add(wide.bitPattern, y.bitPattern, &env)
      let (total, dropped) = Self.away(Int128(c) << Int128(scale) + Int128(b))
      differences.check(added, env.flags, is: total, dropped, [wide.bitPattern], env)

      env.flags = []
      let integer = Int64(bitPattern: edges.next()) >> edges.below(12)
      let float = Float64Ops.fromInt64(integer, &env)
      let (rounded, cut) = Self.away(Int128(integer))
      differences.check(float, env.flags, is: rounded, cut, [UInt64(bitPattern: integer)], env)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }

  /// Quotients and roots of normal numbers have no ties, so both nearest modes agree.
  @Test("Binary64 quotients and roots do not tell the nearest modes apart")
  func tieless() {
    var edges = Edges(.double, seed: 9)
    var differences = Differences()
    for _ in 0..<20_000 {
      let a = edges.number(field: 1023 - 200 + Int(edges.below(400)))
      let b = edges.number(field: 1023 - 200 + Int(edges.below(400)))
      var even = FloatEnvironment()
      var away = FloatEnvironment(rounding: .nearestMaxMagnitude)
      let quotient = Float64Ops.div(a, b, &away)
      differences.check(
        quotient, away.flags, is: Float64Ops.div(a, b, &even), even.flags, [a, b], away)
      let root = Float64Ops.sqrt(a, &away)
      differences.check(
        root, away.flags, is: Float64Ops.sqrt(a, &even), even.flags, [a], away)
    }
    #expect(differences.count == 0, "\(differences.first)")
  }

  @Test("Integers round ties away as the standard library does", arguments: [0, 1])
  func integersAway(index: Int) {
    let subject = Self.subjects[index]
    for half in -4000...4000 {
      for nudge in -1...1 {
        // The neighbours of halves too, as bits; a zero has only one.
        let value = Double(half) / 2
        let bits = index == 1 ? value.bitPattern : UInt64(Float(value).bitPattern)
        if subject.shape.isZero(bits) && nudge < 0 { continue }
        let operand = bits &+ UInt64(bitPattern: Int64(nudge))
        let exact =
          index == 1
          ? Double(bitPattern: operand) : Double(Float(bitPattern: UInt32(operand)))
        var env = FloatEnvironment(rounding: .nearestMaxMagnitude)
        let rounded = exact.rounded(.toNearestOrAwayFromZero)
        let got = Int64(bitPattern: subject.toInteger(operand, 64, true, &env))
        #expect(Double(got) == rounded && env.flags == (rounded == exact ? [] : .inexact))
      }
    }
  }

  /// Rounds an integer to binary64 with ties away from zero.
  static func away(_ exact: Int128) -> (bits: UInt64, flags: FloatFlags) {
    let magnitude = exact.magnitude
    let width = 128 - magnitude.leadingZeroBitCount
    let sign: Double = exact < 0 ? -1 : 1
    if width <= 53 { return ((sign * Double(UInt64(magnitude))).bitPattern, []) }
    let cut = UInt128(width - 53)
    let rest = magnitude & ((1 << cut) - 1)
    let kept = UInt64(magnitude >> cut) + (rest >= 1 << (cut - 1) ? 1 : 0)
    let value = Double(sign: .plus, exponent: Int(cut), significand: sign * Double(kept))
    return (value.bitPattern, rest == 0 ? [] : .inexact)
  }
}
