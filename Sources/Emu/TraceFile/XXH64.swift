/// The 64-bit digest of the xxHash family, seed 0: fast, and no defence against malice.
///
/// - SeeAlso: Yann Collet, "xxHash fast digest algorithm", 'XXH64 Algorithm Description'.
public enum XXH64 {
  private static let prime1: UInt64 = 0x9e37_79b1_85eb_ca87
  private static let prime2: UInt64 = 0xc2b2_ae3d_27d4_eb4f
  private static let prime3: UInt64 = 0x1656_67b1_9e37_79f9
  private static let prime4: UInt64 = 0x85eb_ca77_c2b2_ae63
  private static let prime5: UInt64 = 0x27d4_eb2f_1656_67c5

  /// The digest of bytes.
  public static func hash(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { hash($0) } }

  /// The digest of bytes.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    let count = bytes.count
    var at = 0
    func word(_ offset: Int) -> UInt64 {
      UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    var digest: UInt64
    if count >= 32 {
      var (a, b, c, d) = (prime1 &+ prime2, prime2, UInt64(0), 0 &- prime1)
      while at <= count - 32 {
        a = round(a, word(at))
        b = round(b, word(at + 8))
        c = round(c, word(at + 16))
        d = round(d, word(at + 24))
        at += 32
      }
      digest = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
      for lane in [a, b, c, d] { digest = (digest ^ round(0, lane)) &* prime1 &+ prime4 }
    } else {
      digest = prime5
    }
    digest &+= UInt64(count)
    while at + 8 <= count {
      digest = rotate(digest ^ round(0, word(at)), 27) &* prime1 &+ prime4
      at += 8
    }
    if at + 4 <= count {
      let half = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
      digest = rotate(digest ^ UInt64(half) &* prime1, 23) &* prime2 &+ prime3
      at += 4
    }
    while at < count {
      digest = rotate(digest ^ UInt64(bytes[at]) &* prime5, 11) &* prime1
      at += 1
    }
    digest = (digest ^ digest >> 33) &* prime2
    digest = (digest ^ digest >> 29) &* prime3
    return digest ^ digest >> 32
  }

  @inline(__always)
  private static func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
    value &<< bits | value &>> (64 &- bits)
  }

  @inline(__always)
  private static func round(_ lane: UInt64, _ word: UInt64) -> UInt64 {
    rotate(lane &+ word &* prime2, 31) &* prime1
  }
}
