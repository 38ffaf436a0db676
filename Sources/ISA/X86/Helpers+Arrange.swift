import Engine

// Operations on vectors that are more than one expression.

/// - SeeAlso: Intel SDM volume 2, 'PMADDWD - Multiply and Add Packed Integers'.
let multiplyAdd: Helper = { x, r in
  binary(x, r, SIMD2<UInt64>.self) { a, b in
    let a = unsafeBitCast(a, to: SH8.self)
    let b = unsafeBitCast(b, to: SH8.self)
    var result = SD4()
    for index in 0..<4 {
      let low = Int32(a[index &* 2]) &* Int32(b[index &* 2])
      result[index] = low &+ Int32(a[index &* 2 &+ 1]) &* Int32(b[index &* 2 &+ 1])
    }
    return unsafeBitCast(result, to: SIMD2<UInt64>.self)
  }
}

/// - SeeAlso: Intel SDM volume 2, 'PMADDUBSW - Multiply and Add Packed Signed and Unsigned Bytes'.
let multiplyAddBytes: Helper = { x, r in
  binary(x, r, Q2.self) { a, b in
    let a = unsafeBitCast(a, to: B16.self)
    let b = unsafeBitCast(b, to: SB16.self)
    var result = SH8()
    for index in 0..<8 {
      let low = Int(a[index &* 2]) &* Int(b[index &* 2])
      result[index] = Int16(clamping: low &+ Int(a[index &* 2 &+ 1]) &* Int(b[index &* 2 &+ 1]))
    }
    return unsafeBitCast(result, to: Q2.self)
  }
}

/// - SeeAlso: Intel SDM volume 2, 'PSADBW - Compute Sum of Absolute Differences'.
let sumOfDifferences: Helper = { x, r in
  binary(x, r, Q2.self) { a, b in
    let a = unsafeBitCast(a, to: B16.self)
    let b = unsafeBitCast(b, to: B16.self)
    var result = Q2()
    for index in 0..<16 {
      result[index / 8] &+= UInt64(
        a[index] > b[index] ? a[index] &- b[index] : b[index] &- a[index])
    }
    return result
  }
}

/// - SeeAlso: Intel SDM volume 2, 'MPSADBW - Compute Multiple Packed Sums of Absolute Difference'.
let sumsOfDifferences: Helper = { x, r in
  let c = r.op.c
  var control = c
  binary(x, r, Q2.self) { a, b in
    let a = unsafeBitCast(a, to: B16.self)
    let b = unsafeBitCast(b, to: B16.self)
    var result = H8()
    let from = Int(control & 3) &* 4
    let start = Int(control &>> 2 & 1) &* 4
    for index in 0..<8 {
      for byte in 0..<4 {
        let one = a[start &+ index &+ byte]
        let other = b[from &+ byte]
        result[index] &+= UInt16(one > other ? one &- other : other &- one)
      }
    }
    control = c &>> 3
    return unsafeBitCast(result, to: Q2.self)
  }
}

/// Four lanes from `from` on chosen by two bits each.
@inline(__always)
func shuffle<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _: V.Type, from: Int
) {
  let c = Int(r.op.c)
  unary(x, r, V.self) { b in
    var result = b
    for index in 0..<4 { result[from &+ index] = b[from &+ (c &>> (index &* 2)) & 3] }
    return result
  }
}

let shuffleBytes: Helper = { x, r in
  binary(x, r, B16.self) { a, b in
    var result = B16()
    for index in 0..<16 { result[index] = b[index] & 0x80 != 0 ? 0 : a[Int(b[index] & 15)] }
    return result
  }
}

let shuffleSingles: Helper = { x, r in
  let c = Int(r.op.c)
  binary(x, r, D4.self) { a, b in
    D4(a[c & 3], a[c &>> 2 & 3], b[c &>> 4 & 3], b[c &>> 6 & 3])
  }
}

let shuffleDoubles: Helper = { x, r in
  var c = Int(r.op.c)
  binary(x, r, Q2.self) { a, b in
    defer { c &>>= 2 }
    return Q2(a[c & 1], b[c &>> 1 & 1])
  }
}

/// - SeeAlso: Intel SDM volume 2, 'PALIGNR - Packed Align Right'.
let alignRight: Helper = { x, r in
  let c = Int(r.op.c)
  binary(x, r, B16.self) { a, b in
    var result = B16()
    for index in 0..<16 {
      let from = index &+ c
      result[index] = from < 16 ? b[from] : from < 32 ? a[from &- 16] : 0
    }
    return result
  }
}

@inline(__always)
func shiftBytes(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, left: Bool) {
  let count = Int(r.op.c)
  binary(x, r, B16.self) { a, _ in
    var result = B16()
    for index in 0..<16 {
      let from = left ? index &- count : index &+ count
      if from >= 0 && from < 16 { result[index] = a[from] }
    }
    return result
  }
}

/// Lanes of `b` where the immediate has a one.
@inline(__always)
func blend<V: SIMD & BitwiseCopyable>(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _: V.Type) {
  var c = Int(r.op.c)
  binary(x, r, V.self) { a, b in
    var result = a
    for index in 0..<V.scalarCount where c &>> index & 1 != 0 { result[index] = b[index] }
    if V.scalarCount < 8 { c &>>= V.scalarCount }
    return result
  }
}

/// Lanes of `b` where the lane of the mask, whose slot is `c`, is negative.
@inline(__always)
func blendVariable<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _: V.Type
) where V.Scalar: FixedWidthInteger & SignedInteger {
  var at = Int(r.op.c)
  binary(x, r, V.self) { a, b in
    let mask = getVector(x, at, V.self)
    at &+= 2
    var result = a
    for index in 0..<V.scalarCount where mask[index] < 0 { result[index] = b[index] }
    return result
  }
}

/// The signs of `b`'s lanes as a number.
@inline(__always)
func signs<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _: V.Type
) where V.Scalar: FixedWidthInteger & SignedInteger {
  let op = r.op
  var result: UInt64 = 0
  for half in 0...Int(op.e & 1) {
    let b = getVector(x, Int(op.b) &+ half &* 2, V.self)
    for index in 0..<V.scalarCount where b[index] < 0 {
      result |= 1 &<< UInt64(half &* V.scalarCount &+ index)
    }
  }
  x[Int(op.d)] = result
}

/// PINSRB, PINSRW, PINSRD, PINSRQ: bits 4 and up of `e` say the bytes.
let insertInteger: Helper = { x, r in
  let op = r.op
  let size = op.e &>> 4
  let index = UInt64(op.c) & (16 / UInt64(size) &- 1)
  let bit = index &* UInt64(size) &* 8
  let value = x[Int(op.b)] & mask(size)
  let low = x[Int(op.a)]
  let high = x[Int(op.a) &+ 1]
  let keep = ~(mask(size) &<< (bit & 63))
  x[Int(op.d)] = bit < 64 ? low & keep | value &<< bit : low
  x[Int(op.d) &+ 1] = bit < 64 ? high : high & keep | value &<< (bit & 63)
}

/// - SeeAlso: Intel SDM volume 2, 'INSERTPS - Insert Scalar Single Precision Floating-Point Value'.
let insertSingle: Helper = { x, r in
  let op = r.op
  let b = getVector(x, Int(op.b), D4.self)
  var a = getVector(x, Int(op.a), D4.self)
  // From memory (the temporary) there is but one.
  a[Int(op.c &>> 4 & 3)] = b[op.b == Lift.T.vector ? 0 : Int(op.c &>> 6)]
  for index in 0..<4 where op.c &>> UInt8(index) & 1 != 0 { a[index] = 0 }
  setVector(x, Int(op.d), a)
}

/// PTEST: `a` the first operand.
let testVector: Helper = { x, r in testSigns(x, r, .max) }

/// PTEST of the bits in `mask` of every word.
@inline(__always)
func testSigns(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ mask: UInt64) {
  let op = r.op
  var both: UInt64 = 0
  var rest: UInt64 = 0
  for index in 0..<(op.e & 1 == 0 ? 2 : 4) {
    both |= x[Int(op.a) &+ index] & x[Int(op.b) &+ index] & mask
    rest |= ~x[Int(op.a) &+ index] & x[Int(op.b) &+ index] & mask
  }
  StatusFlags.set(x, (both == 0 ? StatusFlags.zero : 0) | (rest == 0 ? StatusFlags.carry : 0))
}

/// - SeeAlso: Intel SDM volume 2, 'PHMINPOSUW - Packed Horizontal Word Minimum'.
let minimumPosition: Helper = { x, r in
  let op = r.op
  let b = getVector(x, Int(op.b), H8.self)
  var best = 0
  for index in 1..<8 where b[index] < b[best] { best = index }
  x[Int(op.d)] = UInt64(b[best]) | UInt64(best) &<< 16
  x[Int(op.d) &+ 1] = 0
}
