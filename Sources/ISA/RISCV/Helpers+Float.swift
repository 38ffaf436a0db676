import Engine

// Floating point: `d`, `a`, `b`, `c` are register slots, `e` is the rounding-mode field.

private let boxed: UInt64 = 0xffff_ffff_0000_0000

/// A single-precision operand: a value that is not NaN-boxed reads as the canonical NaN.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, 'NaN Boxing of Narrower Values'.
@inline(__always)
private func single(_ value: UInt64) -> UInt32 {
  value & boxed == boxed ? UInt32(truncatingIfNeeded: value) : 0x7fc0_0000
}

@inline(__always)
private func word(_ value: Int32) -> UInt64 { UInt64(bitPattern: Int64(value)) }

/// Runs `body` under the instruction's rounding mode and keeps the flags that it raises.
///
/// A dynamic mode that frm makes reserved is an illegal instruction.
///
/// - SeeAlso: RISC-V Unprivileged ISA Manual, 'Floating-Point Control and Status Register'.
@inline(__always)
private func rounded(
  _ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp, _ body: (inout FloatEnvironment) -> UInt64
) {
  var mode = op.e
  if mode == 7 { mode = UInt8(truncatingIfNeeded: x[SystemSlot.frm]) }
  guard let rounding = RoundingMode(rawValue: mode) else {
    illegalRounding(x)
    return
  }
  var environment = FloatEnvironment(
    rounding: rounding, flags: FloatFlags(rawValue: UInt8(truncatingIfNeeded: x[SystemSlot.fflags]))
  )
  let result = body(&environment)
  x[SystemSlot.fflags] = UInt64(environment.flags.rawValue)
  x[Int(op.d)] = result
}

/// The same for what does not round.
@inline(__always)
private func exact(
  _ x: UnsafeMutablePointer<UInt64>, _ op: MicroOp, _ body: (inout FloatEnvironment) -> UInt64
) {
  var environment = FloatEnvironment(
    flags: FloatFlags(rawValue: UInt8(truncatingIfNeeded: x[SystemSlot.fflags])))
  let result = body(&environment)
  x[SystemSlot.fflags] = UInt64(environment.flags.rawValue)
  x[Int(op.d)] = result
}

@inline(never)
private func illegalRounding(_ x: UnsafeMutablePointer<UInt64>) {
  RV64.of(x)._withUnsafeGuaranteedRef { isa in
    Hart.of(x)._withUnsafeGuaranteedRef { isa.raiseIllegal($0) }
  }
}

typealias F32 = Float32Ops
typealias F64 = Float64Ops
private let sign32: UInt32 = 1 << 31
private let sign64: UInt64 = 1 << 63

// MARK: Single precision
let fadd_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.add(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0)) }
}

let fsub_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.sub(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0)) }
}

let fmul_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.mul(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0)) }
}

let fdiv_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.div(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0)) }
}

let fsqrt_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.sqrt(single(x[Int(op.a)]), &$0)) }
}

let fmadd_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) {
    boxed | UInt64(F32.fma(single(x[Int(op.a)]), single(x[Int(op.b)]), single(x[Int(op.c)]), &$0))
  }
}

let fmsub_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) {
    boxed
      | UInt64(
        F32.fma(single(x[Int(op.a)]), single(x[Int(op.b)]), single(x[Int(op.c)]) ^ sign32, &$0))
  }
}

let fnmsub_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) {
    boxed
      | UInt64(
        F32.fma(single(x[Int(op.a)]) ^ sign32, single(x[Int(op.b)]), single(x[Int(op.c)]), &$0))
  }
}

let fnmadd_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) {
    boxed
      | UInt64(
        F32.fma(
          single(x[Int(op.a)]) ^ sign32, single(x[Int(op.b)]), single(x[Int(op.c)]) ^ sign32, &$0))
  }
}

let fmin_s: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { boxed | UInt64(F32.min(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0)) }
}

let fmax_s: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { boxed | UInt64(F32.max(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0)) }
}

let feq_s: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F32.eq(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0) ? 1 : 0 }
}

let flt_s: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F32.lt(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0) ? 1 : 0 }
}

let fle_s: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F32.le(single(x[Int(op.a)]), single(x[Int(op.b)]), &$0) ? 1 : 0 }
}

let fclass_s: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = UInt64(F32.classify(single(x[Int(op.a)])))
}

let fsgnj_s: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = boxed | UInt64((single(x[Int(op.a)]) & ~sign32) | (single(x[Int(op.b)]) & sign32))
}

let fsgnjn_s: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = boxed | UInt64((single(x[Int(op.a)]) & ~sign32) | (~single(x[Int(op.b)]) & sign32))
}

let fsgnjx_s: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = boxed | UInt64(single(x[Int(op.a)]) ^ (single(x[Int(op.b)]) & sign32))
}

let fcvt_w_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { word(F32.toInt32(single(x[Int(op.a)]), &$0)) }
}

let fcvt_wu_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { word(Int32(bitPattern: F32.toUInt32(single(x[Int(op.a)]), &$0))) }
}

let fcvt_l_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { UInt64(bitPattern: F32.toInt64(single(x[Int(op.a)]), &$0)) }
}

let fcvt_lu_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F32.toUInt64(single(x[Int(op.a)]), &$0) }
}

let fcvt_s_w: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.fromInt32(Int32(truncatingIfNeeded: x[Int(op.a)]), &$0)) }
}

let fcvt_s_wu: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.fromUInt32(UInt32(truncatingIfNeeded: x[Int(op.a)]), &$0)) }
}

let fcvt_s_l: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.fromInt64(Int64(bitPattern: x[Int(op.a)]), &$0)) }
}

let fcvt_s_lu: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.fromUInt64(x[Int(op.a)], &$0)) }
}

// MARK: Double precision

let fadd_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.add(x[Int(op.a)], x[Int(op.b)], &$0) }
}

let fsub_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.sub(x[Int(op.a)], x[Int(op.b)], &$0) }
}

let fmul_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.mul(x[Int(op.a)], x[Int(op.b)], &$0) }
}

let fdiv_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.div(x[Int(op.a)], x[Int(op.b)], &$0) }
}

let fsqrt_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.sqrt(x[Int(op.a)], &$0) }
}

let fmadd_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fma(x[Int(op.a)], x[Int(op.b)], x[Int(op.c)], &$0) }
}

let fmsub_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fma(x[Int(op.a)], x[Int(op.b)], x[Int(op.c)] ^ sign64, &$0) }
}

let fnmsub_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fma(x[Int(op.a)] ^ sign64, x[Int(op.b)], x[Int(op.c)], &$0) }
}

let fnmadd_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fma(x[Int(op.a)] ^ sign64, x[Int(op.b)], x[Int(op.c)] ^ sign64, &$0) }
}

let fmin_d: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F64.min(x[Int(op.a)], x[Int(op.b)], &$0) }
}

let fmax_d: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F64.max(x[Int(op.a)], x[Int(op.b)], &$0) }
}

let feq_d: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F64.eq(x[Int(op.a)], x[Int(op.b)], &$0) ? 1 : 0 }
}

let flt_d: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F64.lt(x[Int(op.a)], x[Int(op.b)], &$0) ? 1 : 0 }
}

let fle_d: Helper = { x, raw in
  let op = raw.op
  exact(x, op) { F64.le(x[Int(op.a)], x[Int(op.b)], &$0) ? 1 : 0 }
}

let fclass_d: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = UInt64(F64.classify(x[Int(op.a)]))
}

let fsgnj_d: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = (x[Int(op.a)] & ~sign64) | (x[Int(op.b)] & sign64)
}

let fsgnjn_d: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = (x[Int(op.a)] & ~sign64) | (~x[Int(op.b)] & sign64)
}

let fsgnjx_d: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = x[Int(op.a)] ^ (x[Int(op.b)] & sign64)
}

let fcvt_w_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { word(F64.toInt32(x[Int(op.a)], &$0)) }
}

let fcvt_wu_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { word(Int32(bitPattern: F64.toUInt32(x[Int(op.a)], &$0))) }
}

let fcvt_l_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { UInt64(bitPattern: F64.toInt64(x[Int(op.a)], &$0)) }
}

let fcvt_lu_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.toUInt64(x[Int(op.a)], &$0) }
}

let fcvt_d_w: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fromInt32(Int32(truncatingIfNeeded: x[Int(op.a)]), &$0) }
}

let fcvt_d_wu: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fromUInt32(UInt32(truncatingIfNeeded: x[Int(op.a)]), &$0) }
}

let fcvt_d_l: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fromInt64(Int64(bitPattern: x[Int(op.a)]), &$0) }
}

let fcvt_d_lu: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fromUInt64(x[Int(op.a)], &$0) }
}

let fcvt_s_d: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { boxed | UInt64(F32.fromFloat64(x[Int(op.a)], &$0)) }
}

let fcvt_d_s: Helper = { x, raw in
  let op = raw.op
  rounded(x, op) { F64.fromFloat32(single(x[Int(op.a)]), &$0) }
}

let fmv_w_x: Helper = { x, raw in
  let op = raw.op
  x[Int(op.d)] = boxed | (x[Int(op.a)] & 0xffff_ffff)
}
