import Engine

@inline(__always)
private func toGeneral(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, double: Bool, truncates: Bool
) {
  let op = r.op
  var float = SSEFloat(x)
  let from = double ? x[Int(op.b)] : x[Int(op.b)] & 0xffff_ffff
  let value = float.toInteger(
    from, double, wide: op.e & VectorFlags.wide64 != 0, truncates: truncates)
  if float.finish(x) { x[Int(op.d)] = value }
}

@inline(__always)
private func fromGeneral(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, double: Bool) {
  let op = r.op
  var float = SSEFloat(x)
  let from = Int64(bitPattern: x[Int(op.b)])
  let value = float.fromInteger(
    op.e & VectorFlags.wide64 != 0 ? from : Int64(Int32(truncatingIfNeeded: from)), double)
  guard float.finish(x) else { return }
  let low = x[Int(op.a)]
  x[Int(op.d) &+ 1] = x[Int(op.a) &+ 1]
  x[Int(op.d)] = double ? value : low & ~0xffff_ffff | value
}

/// Singles to integers, lane by lane.
@inline(__always)
private func lanesToIntegers(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, truncates: Bool) {
  floats(x, r, .packedSingle) { float, _, b, _ in
    float.toInteger(b, false, wide: false, truncates: truncates)
  }
}

/// Two doubles to two of 32 bits, the upper half zero.
@inline(__always)
private func narrow(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ f: (inout SSEFloat, UInt64) -> UInt64
) {
  let op = r.op
  var float = SSEFloat(x)
  var pairs = Q2()
  for half in 0...Int(op.e & 1) {
    let low = f(&float, x[Int(op.b) &+ half &* 2])
    pairs[half] = low | f(&float, x[Int(op.b) &+ half &* 2 &+ 1]) &<< 32
  }
  guard float.finish(x) else { return }
  setVector(x, Int(op.d), pairs)
  if op.e & 1 != 0 { setVector(x, Int(op.d) &+ 2, Q2()) }
}

/// The low two or, for 256 bits, four of 32 bits to as many doubles.
@inline(__always)
private func doubles(
  _ x: Slots, _ r: UnsafePointer<MicroOpRaw>, _ f: (inout SSEFloat, UInt64) -> UInt64
) {
  let op = r.op
  var float = SSEFloat(x)
  var result = SIMD4<UInt64>()
  for half in 0...Int(op.e & 1) {
    let both = x[Int(op.b) &+ half]
    result[half &* 2] = f(&float, both & 0xffff_ffff)
    result[half &* 2 &+ 1] = f(&float, both &>> 32)
  }
  guard float.finish(x) else { return }
  for index in 0..<(op.e & 1 == 0 ? 2 : 4) { x[Int(op.d) &+ index] = result[index] }
}

/// Two singles to two integers.
@inline(__always)
private func singlesToIntegers(_ x: Slots, _ r: UnsafePointer<MicroOpRaw>, truncates: Bool) {
  let op = r.op
  var float = SSEFloat(x)
  let both = x[Int(op.b)]
  let low = float.toInteger(both & 0xffff_ffff, false, wide: false, truncates: truncates)
  let high = float.toInteger(both &>> 32, false, wide: false, truncates: truncates)
  if float.finish(x) { x[Int(op.d)] = low | high &<< 32 }
}

/// VCVTPH2PS.
private let fromHalves: Helper = { x, r in
  let op = r.op
  var float = SSEFloat(x)
  let b = getVector(x, Int(op.b), H8.self)
  var result = SIMD8<UInt32>()
  for index in 0..<(op.e & 1 == 0 ? 4 : 8) { result[index] = float.fromHalf(b[index]) }
  guard float.finish(x) else { return }
  setVector(x, Int(op.d), result.lowHalf)
  if op.e & 1 != 0 { setVector(x, Int(op.d) &+ 2, result.highHalf) }
}

/// VCVTPS2PH: the rounding is `c`'s.
let toHalves: Helper = { x, r in
  let op = r.op
  var float = SSEFloat(x)
  var result = H8()
  for half in 0...Int(op.e & 1) {
    let b = getVector(x, Int(op.b) &+ half &* 2, D4.self)
    for index in 0..<4 { result[half &* 4 &+ index] = float.toHalf(b[index], op.c) }
  }
  if float.finish(x) { setVector(x, Int(op.d), result) }
}

/// Conversions between formats.
///
/// - SeeAlso: Intel SDM volume 1, 'SSE2 Conversion Instructions'.
enum ConversionHelpers {
  static func helper(_ op: Op) -> Helper? {
    switch op {
    case .cvtsi2ss: { x, r in fromGeneral(x, r, double: false) }
    case .cvtsi2sd: { x, r in fromGeneral(x, r, double: true) }
    case .cvtss2si: { x, r in toGeneral(x, r, double: false, truncates: false) }
    case .cvtsd2si: { x, r in toGeneral(x, r, double: true, truncates: false) }
    case .cvttss2si: { x, r in toGeneral(x, r, double: false, truncates: true) }
    case .cvttsd2si: { x, r in toGeneral(x, r, double: true, truncates: true) }
    case .cvtps2dq: { x, r in lanesToIntegers(x, r, truncates: false) }
    case .cvttps2dq: { x, r in lanesToIntegers(x, r, truncates: true) }
    case .cvtdq2ps:
      { x, r in
        floats(x, r, .packedSingle) { float, _, b, _ in
          float.fromInteger(Int64(Int32(truncatingIfNeeded: b)), false)
        }
      }
    case .cvtss2sd:
      { x, r in
        let op = r.op
        var float = SSEFloat(x)
        let value = float.toDouble(x[Int(op.b)] & 0xffff_ffff)
        guard float.finish(x) else { return }
        x[Int(op.d) &+ 1] = x[Int(op.a) &+ 1]
        x[Int(op.d)] = value
      }
    case .cvtsd2ss:
      { x, r in
        let op = r.op
        var float = SSEFloat(x)
        let value = float.toSingle(x[Int(op.b)])
        guard float.finish(x) else { return }
        let low = x[Int(op.a)]
        x[Int(op.d) &+ 1] = x[Int(op.a) &+ 1]
        x[Int(op.d)] = low & ~0xffff_ffff | value
      }
    case .cvtps2pd: { x, r in doubles(x, r) { $0.toDouble($1) } }
    case .cvtpi2ps:
      { x, r in
        let op = r.op
        var float = SSEFloat(x)
        let both = x[Int(op.b)]
        let low = float.fromInteger(Int64(Int32(truncatingIfNeeded: both)), false)
        let high = float.fromInteger(Int64(Int32(truncatingIfNeeded: both &>> 32)), false)
        if float.finish(x) { x[Int(op.d)] = low | high &<< 32 }
      }
    case .cvtps2pi: { x, r in singlesToIntegers(x, r, truncates: false) }
    case .cvttps2pi: { x, r in singlesToIntegers(x, r, truncates: true) }
    case .cvtpd2ps: { x, r in narrow(x, r) { $0.toSingle($1) } }
    case .cvtpd2dq, .cvtpd2pi:
      { x, r in narrow(x, r) { $0.toInteger($1, true, wide: false, truncates: false) } }
    case .cvttpd2dq, .cvttpd2pi:
      { x, r in narrow(x, r) { $0.toInteger($1, true, wide: false, truncates: true) } }
    case .cvtdq2pd, .cvtpi2pd:
      { x, r in
        doubles(x, r) { $0.fromInteger(Int64(Int32(truncatingIfNeeded: $1)), true) }
      }
    case .cvtph2ps: fromHalves
    default: nil
    }
  }
}
