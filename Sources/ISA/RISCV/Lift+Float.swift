import Engine

extension Lift {
  /// Floating point.
  ///
  /// Off, all of it is illegal; clean, what writes floating-point state makes it dirty and ends the
  /// block, so that the rest is translated without that care.
  func float(_ i: Insn) {
    guard fpState != 0 else {
      builder.end(helper: illegalInstruction)
      return
    }
    var dirties = true
    switch i.op {
    case .flw, .fld:
      if fpState != 3 {
        dirtyingLoad(i)
        return
      }
      if i.op == .fld {
        builder.emit(.ld64, d: fp(i.rd), a: i.rs1, imm: i.imm)
      } else {
        builder.emit(.ldbox32, d: fp(i.rd), a: i.rs1, imm: i.imm)
      }
    case .fsw:
      builder.emit(.st32, a: i.rs1, b: fp(i.rs2), imm: i.imm)
      dirties = false
    case .fsd:
      builder.emit(.st64, a: i.rs1, b: fp(i.rs2), imm: i.imm)
      dirties = false
    case .fmv_x_w:
      builder.emit(.addiw, d: to(i.rd), a: fp(i.rs1))
      dirties = false
    case .fmv_x_d:
      builder.emit(.mov, d: to(i.rd), a: fp(i.rs1))
      dirties = false
    case .fmv_d_x: builder.emit(.mov, d: fp(i.rd), a: i.rs1)
    case .fmv_w_x: builder.emit(helper: fmv_w_x, d: fp(i.rd), a: i.rs1)
    case .fadd_s: ff(fadd_s, i)
    case .fsub_s: ff(fsub_s, i)
    case .fmul_s: ff(fmul_s, i)
    case .fdiv_s: ff(fdiv_s, i)
    case .fmin_s: ff(fmin_s, i)
    case .fmax_s: ff(fmax_s, i)
    case .fsgnj_s: ff(fsgnj_s, i)
    case .fsgnjn_s: ff(fsgnjn_s, i)
    case .fsgnjx_s: ff(fsgnjx_s, i)
    case .fsqrt_s: ff(fsqrt_s, i)
    case .fmadd_s: ff(fmadd_s, i)
    case .fmsub_s: ff(fmsub_s, i)
    case .fnmsub_s: ff(fnmsub_s, i)
    case .fnmadd_s: ff(fnmadd_s, i)
    case .feq_s: xf(feq_s, i)
    case .flt_s: xf(flt_s, i)
    case .fle_s: xf(fle_s, i)
    case .fclass_s:
      xf(fclass_s, i)
      dirties = false
    case .fcvt_w_s: xf(fcvt_w_s, i)
    case .fcvt_s_w: fx(fcvt_s_w, i)
    case .fcvt_wu_s: xf(fcvt_wu_s, i)
    case .fcvt_s_wu: fx(fcvt_s_wu, i)
    case .fcvt_l_s: xf(fcvt_l_s, i)
    case .fcvt_s_l: fx(fcvt_s_l, i)
    case .fcvt_lu_s: xf(fcvt_lu_s, i)
    case .fcvt_s_lu: fx(fcvt_s_lu, i)
    case .fadd_d: ff(.fadd64, fadd_d, i)
    case .fsub_d: ff(.fsub64, fsub_d, i)
    case .fmul_d: ff(.fmul64, fmul_d, i)
    case .fdiv_d: ff(fdiv_d, i)
    case .fmin_d: ff(fmin_d, i)
    case .fmax_d: ff(fmax_d, i)
    case .fsgnj_d where i.rs1 == i.rs2: builder.emit(.mov, d: fp(i.rd), a: fp(i.rs1))
    case .fsgnj_d: ff(fsgnj_d, i)
    case .fsgnjn_d: ff(fsgnjn_d, i)
    case .fsgnjx_d: ff(fsgnjx_d, i)
    case .fsqrt_d: ff(fsqrt_d, i)
    case .fmadd_d: ff(fmadd_d, i)
    case .fmsub_d: ff(fmsub_d, i)
    case .fnmsub_d: ff(fnmsub_d, i)
    case .fnmadd_d: ff(fnmadd_d, i)
    case .feq_d: xf(feq_d, i)
    case .flt_d: xf(flt_d, i)
    case .fle_d: xf(fle_d, i)
    case .fclass_d:
      xf(fclass_d, i)
      dirties = false
    case .fcvt_w_d: xf(fcvt_w_d, i)
    case .fcvt_d_w: fx(fcvt_d_w, i)
    case .fcvt_wu_d: xf(fcvt_wu_d, i)
    case .fcvt_d_wu: fx(fcvt_d_wu, i)
    case .fcvt_l_d: xf(fcvt_l_d, i)
    case .fcvt_d_l: fx(fcvt_d_l, i)
    case .fcvt_lu_d: xf(fcvt_lu_d, i)
    case .fcvt_d_lu: fx(fcvt_d_lu, i)
    case .fcvt_s_d: ff(fcvt_s_d, i)
    case .fcvt_d_s: ff(fcvt_d_s, i)
    default: preconditionFailure("an operation without a lift: \(i.op)")
    }
    if dirties, fpState != 3 { builder.end(helper: markDirty) }
  }

  /// A load and the mark that it leaves as one micro-op: a load from a device may have the block
  /// left behind it, and then nothing of the instruction must be missing.
  private func dirtyingLoad(_ i: Insn) {
    let imm = UInt16(truncatingIfNeeded: i.imm)
    builder.observeAccess(
      a: i.rs1, imm: Int64(i.imm), size: i.op == .fld ? 8 : 4, isStore: false)
    builder.end(
      helper: loadAndMarkDirty, d: fp(i.rd), a: i.rs1, b: UInt8(truncatingIfNeeded: imm),
      c: i.op == .fld ? 8 : 4, e: UInt8(truncatingIfNeeded: imm >> 8))
  }

  /// A rounding mode that the encoding reserves is illegal; the helper sees to it.
  private func ff(_ helper: Helper, _ i: Insn) {
    builder.emit(
      helper: helper, d: fp(i.rd), a: fp(i.rs1), b: fp(i.rs2), c: fp(i.rs3), e: i.rm)
  }

  private func ff(_ op: Engine.Op, _ helper: Helper, _ i: Insn) {
    builder.emit(op, else: helper, d: fp(i.rd), a: fp(i.rs1), b: fp(i.rs2), e: i.rm)
  }

  private func xf(_ helper: Helper, _ i: Insn) {
    builder.emit(helper: helper, d: to(i.rd), a: fp(i.rs1), b: fp(i.rs2), e: i.rm)
  }

  private func fx(_ helper: Helper, _ i: Insn) {
    builder.emit(helper: helper, d: fp(i.rd), a: i.rs1, e: i.rm)
  }
}
