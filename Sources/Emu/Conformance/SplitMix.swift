import Engine

/// A small generator of random numbers with a seed: a failure repeats.
struct SplitMix: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed &>> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed &>> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed &>> 31)
  }

  mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  /// True once in `n` times.
  mutating func once(in n: Int) -> Bool { below(n) == 0 }

  mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

/// Values at which implementations go wrong.
enum Edges {
  static func integer(_ rng: inout SplitMix) -> UInt64 {
    switch rng.below(10) {
    case 0: return 0
    case 1: return rng.pick([1, 2, .max, .max - 1, 1 << 63, 1 << 63 - 1])
    case 2:
      return rng.pick([
        0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0xffff_ffff_8000_0000,
        0xffff_ffff_7fff_ffff, 0x7fff_ffff_8000_0000,
      ])
    case 3: return 1 << UInt64(rng.below(64))
    case 4: return (1 << UInt64(rng.below(64))) &- 1
    case 5: return 0 &- (1 << UInt64(rng.below(64)))
    case 6: return UInt64(bitPattern: Int64(rng.below(200) - 100))
    case 7: return UInt64(bitPattern: Int64(Int32(truncatingIfNeeded: rng.next())))
    case 8:
      // Bytes of all zeros, all ones, or anything.
      var value: UInt64 = 0
      for _ in 0..<8 { value = value << 8 | rng.pick([0, 0xff, 0x80, rng.next() & 0xff]) }
      return value
    default: return rng.next()
    }
  }

  /// The bits of a double.
  static func double(_ rng: inout SplitMix) -> UInt64 {
    format(&rng, exponentBits: 11, fractionBits: 52)
  }

  /// The bits of a single.
  static func single(_ rng: inout SplitMix) -> UInt64 {
    format(&rng, exponentBits: 8, fractionBits: 23)
  }

  /// An 80-bit datum.
  static func extended(_ rng: inout SplitMix) -> Extended {
    var exponent = UInt16(truncatingIfNeeded: rng.next()) & 0x7fff
    var significand = rng.next() | 1 << 63
    switch rng.below(16) {
    case 0: (exponent, significand) = (0, 0)
    case 1: (exponent, significand) = (0x7fff, 1 << 63)
    case 2: (exponent, significand) = (0x7fff, significand)
    case 3: (exponent, significand) = (0x7fff, significand & ~(1 << 62))
    case 4:
      exponent = 0
      significand = rng.pick([1, significand, (significand &<< 1) &>> 1, 1 << 63, 1 << 62])
    case 5: exponent = rng.pick([1, 2, 0x7ffe, 0x7ffd])
    case 6:
      // Near the limits of the integers.
      exponent = 16383 + rng.pick([14, 15, 16, 30, 31, 32, 62, 63, 64])
      significand = rng.pick([1 << 63, .max, .max - 1, 1 << 63 | 1, significand])
    case 7, 8:
      exponent = 16383 + UInt16(rng.below(66))
      significand &= .max &<< UInt64(rng.below(64))
    case 9, 10:
      exponent = 16383 + UInt16(rng.below(8)) - 4
      if rng.once(in: 2) { significand &= .max &<< UInt64(rng.below(64)) }
    case 11:
      // The ends of the smaller formats.
      exponent =
        16383 + rng.pick([127, 128, 1023, 1024, 126]) - rng.pick([0, 0, 253, 254, 275, 2045, 2098])
      significand = rng.pick([.max, 1 << 63, significand, .max << 11, .max << 40])
    case 12: exponent = rng.pick([8191, 8192, 24575, 24574])
    case 13:
      if rng.once(in: 4) { significand &= ~(1 << 63) }
    default: break
    }
    return Extended(
      significand: significand, signExponent: exponent | (rng.once(in: 2) ? 0x8000 : 0))
  }

  /// What a floating-point register may hold.
  static func register(_ rng: inout SplitMix) -> UInt64 {
    switch rng.below(20) {
    case 0..<10: return double(&rng)
    case 10..<18: return 0xffff_ffff_0000_0000 | single(&rng)
    case 18:
      // Not boxed, or only just.
      let upper: UInt64 = rng.pick([0, 0xffff_fffe, 0x7fff_ffff, rng.next() & 0xffff_ffff])
      return upper << 32 | single(&rng)
    default: return integer(&rng)
    }
  }

  private static func format(
    _ rng: inout SplitMix, exponentBits: Int, fractionBits: Int
  ) -> UInt64 {
    let bias = UInt64(1) << UInt64(exponentBits - 1) - 1
    let top = UInt64(1) << UInt64(exponentBits) - 1
    let ones = UInt64(1) << UInt64(fractionBits) - 1
    let quiet = UInt64(1) << UInt64(fractionBits - 1)
    var exponent: UInt64
    var fraction = rng.next() & ones
    switch rng.below(14) {
    case 0: (exponent, fraction) = (0, 0)
    case 1: (exponent, fraction) = (top, 0)
    case 2: (exponent, fraction) = (top, quiet)
    case 3: (exponent, fraction) = (top, quiet | fraction)
    case 4: (exponent, fraction) = (top, max(1, fraction & ~quiet))
    case 5: (exponent, fraction) = (0, rng.pick([1, ones, quiet, fraction]))
    case 6: (exponent, fraction) = (1, rng.pick([0, 1, fraction]))
    case 7: (exponent, fraction) = (top - 1, rng.pick([ones, ones - 1, fraction]))
    case 8:
      // Near the limits of the integers.
      exponent = bias + rng.pick([30, 31, 32, 62, 63, 64])
      fraction = rng.pick([0, ones, ones - 1, 1, fraction])
    case 9: (exponent, fraction) = (bias + UInt64(rng.below(4)) - 1, rng.pick([0, quiet, 1, ones]))
    case 10, 11:
      // Near each other, so that sums cancel and quotients are round.
      exponent = bias + UInt64(rng.below(8)) - 4
      if rng.once(in: 3) { fraction &= ones &<< UInt64(rng.below(fractionBits)) }
    case 12:
      // Products and quotients at the ends of the range.
      exponent = rng.pick([bias / 2, bias / 2 + 1, bias + bias / 2, bias + bias / 2 + 1])
    default: exponent = rng.next() & top
    }
    let sign = rng.next() & 1
    return sign << UInt64(exponentBits + fractionBits) | exponent << UInt64(fractionBits) | fraction
  }
}
