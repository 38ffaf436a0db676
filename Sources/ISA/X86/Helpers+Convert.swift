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
  let low = f(&float, x[Int(op.b)])
  let high = f(&float, x[Int(op.b) &+ 1])
  guard float.finish(x) else { return }
  x[Int(op.d)] = low | high &<< 32
  x[Int(op.d) &+ 1] = 0
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
    case .cvtps2pd:
      { x, r in
        let op = r.op
        var float = SSEFloat(x)
        let both = x[Int(op.b)]
        let low = float.toDouble(both & 0xffff_ffff)
        let high = float.toDouble(both &>> 32)
        guard float.finish(x) else { return }
        x[Int(op.d)] = low
        x[Int(op.d) &+ 1] = high
      }
    case .cvtpd2ps: { x, r in narrow(x, r) { $0.toSingle($1) } }
    case .cvtpd2dq:
      { x, r in narrow(x, r) { $0.toInteger($1, true, wide: false, truncates: false) } }
    case .cvttpd2dq:
      { x, r in narrow(x, r) { $0.toInteger($1, true, wide: false, truncates: true) } }
    case .cvtdq2pd:
      { x, r in
        let op = r.op
        let both = x[Int(op.b)]
        var float = SSEFloat(x)
        x[Int(op.d)] = float.fromInteger(Int64(Int32(truncatingIfNeeded: both)), true)
        x[Int(op.d) &+ 1] = float.fromInteger(
          Int64(Int32(truncatingIfNeeded: both &>> 32)), true)
      }
    default: nil
    }
  }
}
