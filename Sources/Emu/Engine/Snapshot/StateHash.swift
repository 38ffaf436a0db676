/// A fingerprint of a machine's whole state, or of a part of it.
///
/// It is the same in every process and with every engine for the same state. It finds differences; it
/// is no protection against somebody who looks for two states with the same fingerprint.
public struct StateHash: Sendable, Hashable, CustomStringConvertible {
  /// The first half.
  public var high: UInt64
  /// The second half.
  public var low: UInt64

  /// A fingerprint of the given halves.
  public init(high: UInt64 = 0, low: UInt64 = 0) {
    self.high = high
    self.low = low
  }

  /// A fingerprint of bytes.
  public init(_ bytes: UnsafeRawBufferPointer) {
    var a: UInt64 = 0x9e37_79b9_7f4a_7c15
    var b: UInt64 = 0xbf58_476d_1ce4_e5b9
    var c: UInt64 = 0x94d0_49bb_1331_11eb
    var d: UInt64 = 0x2545_f491_4f6c_dd1d
    var at = 0
    while at + 32 <= bytes.count {
      a = Self.absorb(a, bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      b = Self.absorb(b, bytes.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self))
      c = Self.absorb(c, bytes.loadUnaligned(fromByteOffset: at + 16, as: UInt64.self))
      d = Self.absorb(d, bytes.loadUnaligned(fromByteOffset: at + 24, as: UInt64.self))
      at += 32
    }
    while at < bytes.count {
      a = Self.absorb(a, UInt64(bytes[at]))
      at += 1
    }
    a = Self.absorb(a, UInt64(bytes.count))
    high = Self.mix(a ^ Self.mix(b)) &+ Self.mix(c &+ 1)
    low = Self.mix(c ^ Self.mix(d)) &+ Self.mix(a &+ 3)
  }

  /// A fingerprint of bytes.
  public init(_ bytes: [UInt8]) {
    self = bytes.withUnsafeBytes { StateHash($0) }
  }

  /// Takes in a part that has its place: another order gives another fingerprint.
  public mutating func combine(_ part: StateHash) {
    high = Self.mix(Self.absorb(high, part.high) &+ low)
    low = Self.mix(Self.absorb(low, part.low) ^ high)
  }

  /// Takes in a number.
  public mutating func combine(_ number: UInt64) {
    combine(StateHash(high: Self.mix(number), low: number))
  }

  /// Takes in a numbered part, in whatever order parts come.
  @inline(__always)
  mutating func add(_ part: StateHash, number: UInt64) {
    let place = Self.mix(number &+ 0x9e37_79b9_7f4a_7c15)
    high &+= Self.mix(part.high ^ place)
    low &+= Self.mix(part.low &+ place)
  }

  @inline(__always)
  private static func absorb(_ state: UInt64, _ word: UInt64) -> UInt64 {
    let mixed = (state ^ word) &* 0x9fb2_1c65_1e98_df25
    return mixed &<< 29 | mixed &>> 35
  }

  /// The finalizer of SplitMix64.
  @inline(__always)
  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ z &>> 30) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ z &>> 27) &* 0x94d0_49bb_1331_11eb
    return z ^ z &>> 31
  }

  /// 32 hexadecimal digits.
  public var description: String { Self.hex(high) + Self.hex(low) }

  private static func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
