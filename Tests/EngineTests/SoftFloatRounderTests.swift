import CHostFloat
import Engine
import Testing

#if arch(x86_64)

/// All five modes and both kinds of tininess for binary32.
///
/// The host computes in binary64 rounding to odd (toward zero, then the last bit set if inexact),
/// which a second rounding to 24 bits cannot tell from the exact result; the second rounding is
/// written here in terms of neighbours and distances, all exact in binary64.
///
/// - SeeAlso: S. Boldo and G. Melquiond, 'Emulation of a FMA and correctly rounded sums: proved
///   algorithms using rounding to odd'.
@Suite("SoftFloat agrees with an independent rounder")
struct SoftFloatRounderTests {
  static let samples = 30_000

  /// The rounding of a nonzero finite number to binary32.
  static func rounded(
    _ x: Double, _ mode: RoundingMode, _ tininess: Tininess
  ) -> (bits: UInt64, flags: FloatFlags) {
    let exact = x.magnitude
    let magnitude = choose(exact, negative: x < 0, mode)
    let bits = UInt64(magnitude.bitPattern) | (x < 0 ? 1 << 31 : 0)
    if Double(magnitude) == exact { return (bits, []) }
    if exact > 0x1p127 && Double(magnitude) == .infinity
      || choose(exact / 2, negative: x < 0, mode) >= 0x1p127
    {
      return (bits, [.overflow, .inexact])
    }
    // After rounding: what would come of an exponent without a lower bound.
    let unbounded =
      tininess == .afterRounding
      ? Double(choose(exact * 0x1p64, negative: x < 0, mode)) : exact * 0x1p64
    return (bits, exact < 0x1p-126 && unbounded < 0x1p-62 ? [.underflow, .inexact] : .inexact)
  }

  /// The neighbour of a positive number that the mode asks for.
  private static func choose(_ exact: Double, negative: Bool, _ mode: RoundingMode) -> Float {
    var below = Float.greatestFiniteMagnitude
    if exact < Double(below) {
      below = Float(exact)
      if Double(below) > exact { below = below.nextDown }
    }
    if Double(below) == exact { return below }
    let above = below.nextUp
    let limit = above == .infinity ? 0x1p128 : Double(above)
    switch mode {
    case .towardZero: return below
    case .down: return negative ? above : below
    case .up: return negative ? below : above
    case .nearestEven, .nearestMaxMagnitude:
      let middle = (Double(below) + limit) / 2
      if exact != middle { return exact < middle ? below : above }
      return mode == .nearestMaxMagnitude || below.bitPattern & 1 != 0 ? above : below
    }
  }

  /// The host's result in binary64, rounded to odd; nil for what is no matter of rounding.
  private static func odd(_ host: HostResult) -> Double? {
    let value = Double(bitPattern: host.flags & 32 == 0 ? host.bits : host.bits | 1)
    return value.isFinite && value != 0 ? value : nil
  }

  private static func wide(_ a: UInt64) -> UInt64 {
    Double(Float(bitPattern: UInt32(a))).bitPattern
  }

  private static func environment(_ index: Int) -> FloatEnvironment {
    let modes: [RoundingMode] = [
      .nearestMaxMagnitude, .nearestEven, .nearestMaxMagnitude, .towardZero, .down, .up,
    ]
    return FloatEnvironment(
      rounding: modes[index % 6], flags: index % 4 < 2 ? [] : .inexact,
      tininess: index % 5 < 2 ? .beforeRounding : .afterRounding)
  }

  private func compare(
    _ seed: UInt64, _ soft: Subject.Ternary,
    _ host: (UInt64, UInt64, UInt64) -> HostResult
  ) {
    var edges = Edges(.single, seed: seed)
    var differences = Differences()
    var compared = 0
    for index in 0..<Self.samples {
      let a = edges.operand()
      let b = edges.partner(of: a)
      let c = edges.partner(of: index & 1 == 0 ? a : host_mul32(a, b, 0).bits)
      guard let exact = Self.odd(host(Self.wide(a), Self.wide(b), Self.wide(c))) else { continue }
      let before = Self.environment(index)
      var env = before
      let got = soft(a, b, c, &env)
      let (bits, flags) = Self.rounded(exact, before.rounding, before.tininess)
      differences.check(
        got, env.flags, is: bits, flags.union(before.flags), [a, b, c], before)
      compared += 1
    }
    #expect(differences.count == 0, "\(differences.first)")
    #expect(compared > Self.samples / 3)
  }

  @Test("Arithmetic")
  func arithmetic() {
    let single = Subject.single
    compare(1, { a, b, _, env in single.add(a, b, &env) }, { a, b, _ in host_add64(a, b, 3) })
    compare(2, { a, b, _, env in single.sub(a, b, &env) }, { a, b, _ in host_sub64(a, b, 3) })
    compare(3, { a, b, _, env in single.mul(a, b, &env) }, { a, b, _ in host_mul64(a, b, 3) })
    compare(4, { a, b, _, env in single.div(a, b, &env) }, { a, b, _ in host_div64(a, b, 3) })
    compare(
      5, { a, _, _, env in single.sqrt(a & ~(1 << 31), &env) },
      { a, _, _ in host_sqrt64(a & ~(1 << 63), 3) })
    if host_has_fma() { compare(6, single.fma, { host_fma64($0, $1, $2, 3) }) }
  }

  @Test("Conversions")
  func conversions() {
    var edges = Edges(.double, seed: 3)
    var differences = Differences()
    for index in 0..<Self.samples {
      let before = Self.environment(index)
      let a = index % 2 == 0 ? edges.number(field: 0x380 + index % 3) : edges.operand()
      let value = Double(bitPattern: a)
      if value.isFinite && value != 0 {
        var env = before
        let got = UInt64(Float32Ops.fromFloat64(a, &env))
        let (bits, flags) = Self.rounded(value, before.rounding, before.tininess)
        differences.check(got, env.flags, is: bits, flags.union(before.flags), [a], before)
      }
      // Half of the integers are ties or next to one.
      let integer = edges.next() >> edges.below(64)
      let tie = (integer | 1 << 63) & ~0 << 39 | 1 << 39 &+ (edges.below(3) &- 1)
      let signed = index & 1 == 0 ? integer : tie
      if signed != 0, let exact = Self.odd(host_fromint64(signed, 64, true, 3)) {
        var env = before
        let got = Subject.single.fromInteger(signed, 64, true, &env)
        let (bits, flags) = Self.rounded(exact, before.rounding, before.tininess)
        differences.check(got, env.flags, is: bits, flags.union(before.flags), [signed], before)
      }
    }
    #expect(differences.count == 0, "\(differences.first)")
  }
}

#endif
