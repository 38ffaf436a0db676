/// Random numbers with a seed (SplitMix64): a failure repeats.
public struct FuzzRandom: RandomNumberGenerator {
  private var state: UInt64

  /// The numbers of one case of one part.
  init(seed: UInt64, part: FuzzPart, number: UInt64) {
    state = seed &* 0xd134_2543_de82_ef95 &+ number
    for byte in part.rawValue.utf8 { state = (state ^ UInt64(byte)) &* 0x100_0000_01b3 }
    _ = next()
  }

  /// A byte that was typed.
  public mutating func next() -> UInt64 {
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

  mutating func bytes(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 7)
    while bytes.count < count {
      let word = next()
      for shift in UInt64(0)..<8 { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * shift))) }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// A number at which implementations go wrong.
  mutating func edge() -> UInt64 {
    switch below(10) {
    case 0: return 0
    case 1: return .max
    case 2: return pick([1, 2, 3, 7, 8, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 1 << 32])
    case 3: return 1 << UInt64(below(64))
    case 4: return (1 << UInt64(below(64))) &- 1
    case 5: return 0 &- (1 << UInt64(below(64)))
    case 6: return UInt64(bitPattern: Int64(below(64) - 32))
    case 7: return pick([4096, 4095, 4097, 0x1000_0000, 1 << 38, 1 << 39, (1 << 38) - 4096])
    case 8: return next() & 0xffff
    default: return next()
    }
  }
}
