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
