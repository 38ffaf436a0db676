import Engine

/// What can be switched off for a row.
enum Unit {
  case always, x87, wait, mmx, legacyState, sse, extendedState, avx

  init(_ row: Row) {
    self =
      switch row.feature {
      case .fpu: row.op == .fwait ? .wait : .x87
      case .mmx: .mmx
      case .fxsr: .legacyState
      case .sse, .sse2, .sse3, .ssse3, .sse41, .sse42, .aes, .pclmulqdq, .sha: .sse
      case .xsave: [.xsave, .xsaveopt, .xrstor].contains(row.op) ? .extendedState : .always
      case .avx, .avx2, .fma, .f16c, .vaes, .vpclmulqdq: .avx
      default: .always
      }
  }
}

extension Lift {
  /// The fault that the present instruction raises because its unit is off, whatever else it would
  /// do: 6 #UD before 7 #NM.
  ///
  /// - SeeAlso: Intel SDM volume 3, 'Device Not Available Exception (#NM)', 'Invalid Opcode Exception
  ///   (#UD)', 'Enabling the XSAVE Feature Set and XSAVE-Enabled Features'; volume 2, 'Exceptions Type
  ///   2', 'x87 FPU and SIMD Floating-Point Exceptions'.
  var unitFault: UInt8? {
    typealias Flag = X64.TranslationFlag
    // Nearly always everything is on.
    guard mode & Flag.units != 0 else { return nil }
    func fault(undefined: UInt64, notAvailable: UInt64) -> UInt8? {
      mode & undefined != 0 ? 6 : mode & notAvailable != 0 ? 7 : nil
    }
    return switch row.unit {
    case .always: nil
    case .wait: fault(undefined: 0, notAvailable: Flag.waitTraps)
    case .x87, .legacyState: fault(undefined: 0, notAvailable: Flag.emulated | Flag.switched)
    case .mmx: fault(undefined: Flag.emulated, notAvailable: Flag.switched)
    case .sse: fault(undefined: Flag.noSSE, notAvailable: Flag.switched)
    case .extendedState: fault(undefined: Flag.noXSAVE, notAvailable: Flag.switched)
    case .avx: fault(undefined: Flag.noAVX, notAvailable: Flag.switched)
    }
  }
}
