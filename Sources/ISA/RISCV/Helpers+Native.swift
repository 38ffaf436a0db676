import Engine

extension RV64 {
  /// What the floating-point helpers do, for compiled code.
  public var nativeFloat: [(helper: Helper, float: NativeFloat)] {
    let both: [(NativeFloat.Operation, Helper, Helper)] = [
      (.add, fadd_s, fadd_d), (.sub, fsub_s, fsub_d), (.mul, fmul_s, fmul_d),
      (.div, fdiv_s, fdiv_d), (.sqrt, fsqrt_s, fsqrt_d), (.fmadd, fmadd_s, fmadd_d),
      (.fmsub, fmsub_s, fmsub_d), (.fnmsub, fnmsub_s, fnmsub_d), (.fnmadd, fnmadd_s, fnmadd_d),
      (.sgnj, fsgnj_s, fsgnj_d), (.sgnjn, fsgnjn_s, fsgnjn_d), (.sgnjx, fsgnjx_s, fsgnjx_d),
      (.eq, feq_s, feq_d), (.lt, flt_s, flt_d), (.le, fle_s, fle_d), (.min, fmin_s, fmin_d),
      (.max, fmax_s, fmax_d), (.fromInt32, fcvt_s_w, fcvt_d_w),
      (.fromUInt32, fcvt_s_wu, fcvt_d_wu), (.fromInt64, fcvt_s_l, fcvt_d_l),
      (.toInt32, fcvt_w_s, fcvt_w_d), (.toUInt32, fcvt_wu_s, fcvt_wu_d),
      (.toInt64, fcvt_l_s, fcvt_l_d), (.convert, fcvt_s_d, fcvt_d_s),
    ]
    return both.flatMap {
      [
        (helper: $0.1, float: NativeFloat($0.0, isDouble: false)),
        (helper: $0.2, float: NativeFloat($0.0, isDouble: true)),
      ]
    }
  }
}
