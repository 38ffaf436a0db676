import Engine

// Vectors as lanes. An operation works on 128 bits and is done once, or with VEX.L twice: `d` gets
// the result of `a` and `b`.

typealias B16 = SIMD16<UInt8>
typealias SB16 = SIMD16<Int8>
typealias H8 = SIMD8<UInt16>
typealias SH8 = SIMD8<Int16>
typealias D4 = SIMD4<UInt32>
typealias SD4 = SIMD4<Int32>
typealias Q2 = SIMD2<UInt64>
typealias SQ2 = SIMD2<Int64>

typealias Slots = UnsafeMutablePointer<UInt64>

@inline(__always)
func getVector<V: BitwiseCopyable>(_ x: Slots, _ slot: Int, _: V.Type) -> V {
  UnsafeRawPointer(x + slot).loadUnaligned(as: V.self)
}

/// Element `index` of `size` bytes of the vector at `slot`.
@inline(__always)
func element(_ x: Slots, _ slot: Int, _ index: Int, _ size: Int) -> UInt64 {
  x[slot &+ index &* size / 8] &>> UInt64(index &* size % 8 &* 8) & mask(UInt8(size))
}

@inline(__always)
func setVector<V: BitwiseCopyable>(_ x: Slots, _ slot: Int, _ value: V) {
  UnsafeMutableRawPointer(x + slot).storeBytes(of: value, as: V.self)
}

/// `d` = `f(a, b)` on every 128 bits.
@inline(__always)
func binary<V: BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: V.Type, _ f: (V, V) -> V
) {
  let op = raw.op
  for half in 0...Int(op.e & 1) {
    let at = half &* 2
    let result = f(
      getVector(x, Int(op.a) &+ at, V.self), getVector(x, Int(op.b) &+ at, V.self))
    setVector(x, Int(op.d) &+ at, result)
  }
}

/// `d` = `f(b)`.
@inline(__always)
func unary<V: BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: V.Type, _ f: (V) -> V
) {
  binary(x, raw, V.self) { _, b in f(b) }
}

/// `f` on every lane.
@inline(__always)
func each<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: V.Type, _ f: (V.Scalar, V.Scalar) -> V.Scalar
) {
  binary(x, raw, V.self) { a, b in
    var result = a
    for index in 0..<V.scalarCount { result[index] = f(a[index], b[index]) }
    return result
  }
}

/// All ones where it holds.
@inline(__always)
func compare<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: V.Type, _ f: (V.Scalar, V.Scalar) -> Bool
) where V.Scalar: FixedWidthInteger {
  each(x, raw, V.self) { f($0, $1) ? ~0 : 0 }
}

@inline(__always)
func saturate<Wide: FixedWidthInteger, Narrow: FixedWidthInteger>(
  _ value: Wide, _: Narrow.Type
) -> Narrow {
  Narrow(clamping: value)
}

/// Takes lanes in turn from the low (or high) halves.
@inline(__always)
func interleave<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: V.Type, high: Bool
) {
  binary(x, raw, V.self) { a, b in
    var result = a
    let half = V.scalarCount / 2
    for index in 0..<half {
      let from = high ? half &+ index : index
      result[index &* 2] = a[from]
      result[index &* 2 &+ 1] = b[from]
    }
    return result
  }
}

/// Packs the lanes of both sources into lanes of half the width.
@inline(__always)
func pack<W: SIMD & BitwiseCopyable, N: SIMD & BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: W.Type, _: N.Type
) where W.Scalar: FixedWidthInteger, N.Scalar: FixedWidthInteger {
  let op = raw.op
  for half in 0...Int(op.e & 1) {
    let a = getVector(x, Int(op.a) &+ half &* 2, W.self)
    let b = getVector(x, Int(op.b) &+ half &* 2, W.self)
    var result = N()
    for index in 0..<W.scalarCount {
      result[index] = N.Scalar(clamping: a[index])
      result[W.scalarCount &+ index] = N.Scalar(clamping: b[index])
    }
    setVector(x, Int(op.d) &+ half &* 2, result)
  }
}

/// Neighbours within each source.
@inline(__always)
func horizontal<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: V.Type, _ f: (V.Scalar, V.Scalar) -> V.Scalar
) {
  binary(x, raw, V.self) { a, b in
    var result = a
    let half = V.scalarCount / 2
    for index in 0..<half {
      result[index] = f(a[index &* 2], a[index &* 2 &+ 1])
      result[half &+ index] = f(b[index &* 2], b[index &* 2 &+ 1])
    }
    return result
  }
}

/// Widens the low lanes of `b`.
@inline(__always)
func widen<N: SIMD & BitwiseCopyable, W: SIMD & BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: N.Type, _: W.Type
) where N.Scalar: FixedWidthInteger, W.Scalar: FixedWidthInteger {
  let op = raw.op
  let b = getVector(x, Int(op.b), N.self)
  for half in 0...Int(op.e & 1) {
    var result = W()
    for index in 0..<W.scalarCount {
      result[index] = W.Scalar(truncatingIfNeeded: b[half &* W.scalarCount &+ index])
    }
    setVector(x, Int(op.d) &+ half &* 2, result)
  }
}

/// Shifts every lane by one count: the low 64 bits of `b`.
@inline(__always)
func shiftAll<V: SIMD & BitwiseCopyable>(
  _ x: Slots, _ raw: UnsafePointer<MicroOpRaw>, _: V.Type, immediate: Bool,
  _ f: (V.Scalar, V.Scalar) -> V.Scalar
) where V.Scalar: FixedWidthInteger {
  let op = raw.op
  let wanted = immediate ? UInt64(op.c) : x[Int(op.b)]
  let count = V.Scalar(truncatingIfNeeded: min(wanted, 127))
  binary(x, raw, V.self) { a, _ in
    var result = a
    // The smart shifts of the library give what the manual says of large counts.
    for index in 0..<V.scalarCount { result[index] = f(a[index], count) }
    return result
  }
}
