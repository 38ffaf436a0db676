import Engine

/// SHA-1 and SHA-256, four words at a time: lane 3 is the manual's bits 127:96.
///
/// - SeeAlso: Intel SDM volume 1, 'Intel SHA Extensions'; FIPS 180-4, 'Secure Hash Standard'.
enum SHAHelpers {
  static func helper(_ op: Op) -> Helper? {
    switch op {
    case .sha1rnds4: fourRounds
    case .sha1nexte:
      { x, r in
        binary(x, r, D4.self) { a, b in D4(b[0], b[1], b[2], b[3] &+ rotateLeft(a[3], 30)) }
      }
    case .sha1msg1:
      { x, r in binary(x, r, D4.self) { a, b in a ^ D4(b[2], b[3], a[0], a[1]) } }
    case .sha1msg2:
      { x, r in
        binary(x, r, D4.self) { a, b in
          let first = rotateLeft(a[3] ^ b[2], 1)
          return D4(
            rotateLeft(a[0] ^ first, 1), rotateLeft(a[1] ^ b[0], 1), rotateLeft(a[2] ^ b[1], 1),
            first)
        }
      }
    case .sha256rnds2: twoRounds
    case .sha256msg1:
      { x, r in
        binary(x, r, D4.self) { a, b in
          D4(
            a[0] &+ lowerSigma0(a[1]), a[1] &+ lowerSigma0(a[2]), a[2] &+ lowerSigma0(a[3]),
            a[3] &+ lowerSigma0(b[0]))
        }
      }
    case .sha256msg2:
      { x, r in
        binary(x, r, D4.self) { a, b in
          let (w16, w17) = (a[0] &+ lowerSigma1(b[2]), a[1] &+ lowerSigma1(b[3]))
          return D4(w16, w17, a[2] &+ lowerSigma1(w16), a[3] &+ lowerSigma1(w17))
        }
      }
    default: nil
    }
  }
}

private func rotateLeft(_ word: UInt32, _ by: UInt32) -> UInt32 {
  word &<< by | word &>> (32 &- by)
}

private func rotateRight(_ word: UInt32, _ by: UInt32) -> UInt32 { rotateLeft(word, 32 &- by) }

private func lowerSigma0(_ w: UInt32) -> UInt32 {
  rotateRight(w, 7) ^ rotateRight(w, 18) ^ w &>> 3
}

private func lowerSigma1(_ w: UInt32) -> UInt32 {
  rotateRight(w, 17) ^ rotateRight(w, 19) ^ w &>> 10
}

private func majority(_ a: UInt32, _ b: UInt32, _ c: UInt32) -> UInt32 { a & b ^ a & c ^ b & c }

/// SHA1RNDS4: `c` says which function and constant.
private let fourRounds: Helper = { x, r in
  let kind = r.op.c & 3
  let constants: [UInt32] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6]
  binary(x, r, D4.self) { state, words in
    var (a, b, c, d) = (state[3], state[2], state[1], state[0])
    // The first word has E in it.
    var e: UInt32 = 0
    for index in 0..<4 {
      let f = kind == 0 ? b & c ^ ~b & d : kind == 2 ? majority(b, c, d) : b ^ c ^ d
      let sum = f &+ rotateLeft(a, 5) &+ words[3 &- index] &+ e &+ constants[Int(kind)]
      (e, d, c, b, a) = (d, c, rotateLeft(b, 30), a, sum)
    }
    return D4(d, c, b, a)
  }
}

/// SHA256RNDS2: the words with their constants are in XMM0.
private let twoRounds: Helper = { x, r in
  let words = x[Registers.vector]
  binary(x, r, D4.self) { one, two in
    var (a, b, c, d) = (two[3], two[2], one[3], one[2])
    var (e, f, g, h) = (two[1], two[0], one[1], one[0])
    for word in [UInt32(truncatingIfNeeded: words), UInt32(truncatingIfNeeded: words &>> 32)] {
      let upper = rotateRight(e, 6) ^ rotateRight(e, 11) ^ rotateRight(e, 25)
      let first = (e & f ^ ~e & g) &+ upper &+ word &+ h
      let lower = rotateRight(a, 2) ^ rotateRight(a, 13) ^ rotateRight(a, 22)
      let second = majority(a, b, c) &+ lower
      (h, g, f, e, d, c, b, a) = (g, f, e, d &+ first, c, b, a, first &+ second)
    }
    return D4(f, e, b, a)
  }
}
