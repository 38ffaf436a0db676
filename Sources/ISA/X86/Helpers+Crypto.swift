import Engine

/// The tables of AES, computed from its definition.
///
/// - SeeAlso: FIPS 197, 'Advanced Encryption Standard (AES)'.
enum AES {
  /// Multiplies in GF(2^8).
  static func multiply(_ a: UInt8, _ b: UInt8) -> UInt8 {
    var a = a
    var b = b
    var product: UInt8 = 0
    while b != 0 {
      if b & 1 != 0 { product ^= a }
      a = a &<< 1 ^ (a & 0x80 == 0 ? 0 : 0x1b)
      b &>>= 1
    }
    return product
  }

  static let substitution: [UInt8] = (0...255).map { value in
    // The inverse is the 254th power.
    var inverse = UInt8(value)
    for _ in 0..<6 { inverse = multiply(multiply(inverse, inverse), UInt8(value)) }
    inverse = multiply(inverse, inverse)
    func rotated(_ count: UInt8) -> UInt8 { inverse &<< count | inverse &>> (8 &- count) }
    return inverse ^ rotated(1) ^ rotated(2) ^ rotated(3) ^ rotated(4) ^ 0x63
  }

  static let inverseSubstitution: [UInt8] = {
    var table = [UInt8](repeating: 0, count: 256)
    for (value, to) in substitution.enumerated() { table[Int(to)] = UInt8(value) }
    return table
  }()

  /// Rows shifted and bytes substituted.
  static func substituteRows(_ state: B16, inverse: Bool) -> B16 {
    var result = B16()
    for column in 0..<4 {
      for row in 0..<4 {
        let from = inverse ? (column &- row) & 3 : (column &+ row) & 3
        let byte = Int(state[from &* 4 &+ row])
        result[column &* 4 &+ row] = inverse ? inverseSubstitution[byte] : substitution[byte]
      }
    }
    return result
  }

  static func mixColumns(_ state: B16, inverse: Bool) -> B16 {
    let factors: [UInt8] = inverse ? [14, 11, 13, 9] : [2, 3, 1, 1]
    var result = B16()
    for column in 0..<4 {
      for row in 0..<4 {
        var sum: UInt8 = 0
        for other in 0..<4 {
          sum ^= multiply(state[column &* 4 &+ other], factors[(other &- row) & 3])
        }
        result[column &* 4 &+ row] = sum
      }
    }
    return result
  }
}

/// AES, carry-less multiplication, string comparison.
enum CryptoHelpers {
  static func helper(_ op: Op) -> Helper? {
    switch op {
    case .aesenc:
      { x, r in
        binary(x, r, B16.self) {
          AES.mixColumns(AES.substituteRows($0, inverse: false), inverse: false) ^ $1
        }
      }
    case .aesenclast:
      { x, r in binary(x, r, B16.self) { AES.substituteRows($0, inverse: false) ^ $1 } }
    case .aesdec:
      { x, r in
        binary(x, r, B16.self) {
          AES.mixColumns(AES.substituteRows($0, inverse: true), inverse: true) ^ $1
        }
      }
    case .aesdeclast:
      { x, r in binary(x, r, B16.self) { AES.substituteRows($0, inverse: true) ^ $1 } }
    case .aesimc: { x, r in unary(x, r, B16.self) { AES.mixColumns($0, inverse: true) } }
    case .aeskeygenassist: assistKey
    case .pclmulqdq:
      { x, r in
        let c = r.op.c
        binary(x, r, Q2.self) { a, b in
          carrylessProduct(a[Int(c & 1)], b[Int(c &>> 4 & 1)])
        }
      }
    case .pcmpestrm: { x, r in compareStrings(x, r, explicit: true, index: false) }
    case .pcmpestri: { x, r in compareStrings(x, r, explicit: true, index: true) }
    case .pcmpistrm: { x, r in compareStrings(x, r, explicit: false, index: false) }
    case .pcmpistri: { x, r in compareStrings(x, r, explicit: false, index: true) }
    default: nil
    }
  }
}

private func carrylessProduct(_ a: UInt64, _ b: UInt64) -> Q2 {
  var low: UInt64 = 0
  var high: UInt64 = 0
  for index in 0..<UInt64(64) where b &>> index & 1 != 0 {
    low ^= a &<< index
    if index > 0 { high ^= a &>> (64 &- index) }
  }
  return Q2(low, high)
}

/// - SeeAlso: Intel SDM volume 2, 'AESKEYGENASSIST - AES Round Key Generation Assist'.
private let assistKey: Helper = { x, r in
  let c = UInt32(r.op.c)
  unary(x, r, D4.self) { b in
    func substitute(_ word: UInt32) -> UInt32 {
      var result: UInt32 = 0
      for shift in stride(from: UInt32(0), to: 32, by: 8) {
        result |= UInt32(AES.substitution[Int(word &>> shift & 0xff)]) &<< shift
      }
      return result
    }
    func rotate(_ word: UInt32) -> UInt32 { word &>> 8 | word &<< 24 }
    let one = substitute(b[1])
    let three = substitute(b[3])
    return D4(one, rotate(one) ^ c, three, rotate(three) ^ c)
  }
}

/// PCMPxSTRx.
///
/// - SeeAlso: Intel SDM volume 1, 'SSE4.2 String and Text Instructions'; volume 2, 'Imm8 Control Byte
///   Operation for PCMPESTRI / PCMPESTRM / PCMPISTRI / PCMPISTRM'.
private func compareStrings(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, explicit: Bool, index wantsIndex: Bool
) {
  let op = r.op
  let words = op.c & 1 != 0
  let count = words ? 8 : 16
  func lanes(_ slot: Int) -> [Int] {
    let signed = op.c & 2 != 0
    if words {
      let all = getVector(x, slot, H8.self)
      return (0..<8).map { signed ? Int(Int16(bitPattern: all[$0])) : Int(all[$0]) }
    }
    let all = getVector(x, slot, B16.self)
    return (0..<16).map { signed ? Int(Int8(bitPattern: all[$0])) : Int(all[$0]) }
  }
  let a = lanes(Int(op.a))
  let b = lanes(Int(op.b))
  func length(_ lanes: [Int], _ register: UInt8) -> Int {
    guard explicit else { return lanes.firstIndex(of: 0) ?? count }
    let value = x[Int(register)]
    let wide = op.e & VectorFlags.wide64 != 0
    let signed = wide ? Int64(bitPattern: value) : Int64(Int32(truncatingIfNeeded: value))
    return Int(min(signed.magnitude, UInt64(count)))
  }
  let lengthA = length(a, Lift.rax)
  let lengthB = length(b, Lift.rdx)
  var result = 0
  for j in 0..<count {
    let found: Bool
    switch op.c >> 2 & 3 {
    case 0: found = j < lengthB && (0..<lengthA).contains { a[$0] == b[j] }
    case 1:
      found =
        j < lengthB
        && stride(from: 0, to: lengthA - 1, by: 2).contains { a[$0] <= b[j] && b[j] <= a[$0 + 1] }
    case 2:
      found = (j < lengthA) == (j < lengthB) && (j >= lengthA || a[j] == b[j])
    default:
      found = (0..<min(lengthA, count - j)).allSatisfy { j + $0 < lengthB && a[$0] == b[j + $0] }
    }
    if found { result |= 1 << j }
  }
  let all = 1 << count - 1
  switch op.c >> 4 & 3 {
  case 1: result ^= all
  case 3: result ^= (1 << lengthB - 1)
  default: break
  }
  var flags: UInt64 = result == 0 ? 0 : StatusFlags.carry
  if lengthB < count { flags |= StatusFlags.zero }
  if lengthA < count { flags |= StatusFlags.sign }
  if result & 1 != 0 { flags |= StatusFlags.overflow }
  if wantsIndex {
    let place =
      result == 0
      ? count
      : op.c & 0x40 == 0
        ? result.trailingZeroBitCount : Int.bitWidth - 1 - result.leadingZeroBitCount
    x[Int(Lift.rcx)] = UInt64(place)
  } else if op.c & 0x40 == 0 {
    x[Registers.vector] = UInt64(result)
    x[Registers.vector + 1] = 0
  } else if words {
    var mask = H8()
    for lane in 0..<8 where result >> lane & 1 != 0 { mask[lane] = .max }
    setVector(x, Registers.vector, mask)
  } else {
    var mask = B16()
    for lane in 0..<16 where result >> lane & 1 != 0 { mask[lane] = .max }
    setVector(x, Registers.vector, mask)
  }
  StatusFlags.set(x, flags)
}
