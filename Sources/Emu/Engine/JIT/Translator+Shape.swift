#if arch(x86_64) && os(Linux)
extension Translator {
  /// Which operands of a micro-op are slots that its host code works on.
  ///
  /// Empty where the micro-op is left to the interpreter or a helper, on the slots in memory.
  struct Shape: OptionSet {
    let rawValue: UInt8
    static let a = Shape(rawValue: 1)
    static let b = Shape(rawValue: 2)
    static let c = Shape(rawValue: 4)
    static let d = Shape(rawValue: 8)
  }

  /// What ``emit(_:)`` has host code for, in step with it.
  func shape(of op: MicroOp) -> Shape {
    switch op.op {
    case .movi, .call: return .d
    case .mov, .addi, .andi, .ori, .xori, .slli, .srli, .srai, .slti, .sltiu, .addiw, .slliw,
      .srliw, .sraiw, .slliuw, .sext8, .sext16, .zext16, .rori, .roriw, .rev8, .bclri, .bexti,
      .binvi, .bseti, .callr:
      return [.d, .a]
    case .clz, .clzw: return cache.features.lzcnt ? [.d, .a] : []
    case .ctz, .ctzw: return cache.features.bmi ? [.d, .a] : []
    case .cpop, .cpopw: return cache.features.popcnt ? [.d, .a] : []
    case .add, .sub, .and, .or, .xor, .sll, .srl, .sra, .slt, .sltu, .addw, .subw, .sllw, .srlw,
      .sraw, .mul, .mulh, .mulhu, .mulhsu, .mulw, .div, .divu, .rem, .remu, .divw, .divuw, .remw,
      .remuw, .shadd, .shadduw, .andn, .orn, .xnor, .max, .maxu, .min, .minu, .rol, .ror, .rolw,
      .rorw, .bclr, .bext, .binv, .bset, .czeroeqz, .czeronez:
      return [.d, .a, .b]
    case .ld8s, .ld8u, .ld16s, .ld16u, .ld32s, .ld32u, .ld64, .ldbox32: return [.d, .a]
    case .st8, .st16, .st32, .st64: return [.a, .b]
    case .beq, .bne, .blt, .bge, .bltu, .bgeu: return [.a, .b]
    case .gotor: return .a
    case .fadd64: return floatShape(NativeFloat(.add, isDouble: true), op)
    case .fsub64: return floatShape(NativeFloat(.sub, isDouble: true), op)
    case .fmul64: return floatShape(NativeFloat(.mul, isDouble: true), op)
    case .helper:
      guard let float = floats[op.imm] else { return [] }
      return floatShape(float, op)
    default: return []
    }
  }

  /// The same for floating-point helpers.
  private func floatShape(_ float: NativeFloat, _ op: MicroOp) -> Shape {
    guard options.nativeFloat, isNative(float, op) else { return [] }
    switch float.operation {
    case .add, .sub, .mul, .div, .sgnj, .sgnjn, .sgnjx, .eq, .lt, .le, .min, .max:
      return [.d, .a, .b]
    case .sqrt, .fromInt32, .fromUInt32, .fromInt64, .toInt32, .toUInt32, .toInt64, .convert:
      return [.d, .a]
    case .fmadd, .fmsub, .fnmsub, .fnmadd: return [.d, .a, .b, .c]
    }
  }

  /// Whether the operation under its rounding mode is one that ``emitFloat(_:_:)`` knows.
  func isNative(_ float: NativeFloat, _ op: MicroOp) -> Bool {
    let nearest = op.e == 0 || op.e == 7
    switch float.operation {
    case .sgnj, .sgnjn, .sgnjx, .eq, .lt, .le, .min, .max: return true
    case .toInt32, .toUInt32, .toInt64: return op.e == 1
    case .fmadd, .fmsub, .fnmsub, .fnmadd: return cache.features.fma && nearest
    default: return nearest
    }
  }
}

extension Op {
  /// Whether `imm` is the pc that the terminator may lead to.
  var isDirect: Bool {
    switch self {
    case .beq, .bne, .blt, .bge, .bltu, .bgeu, .goto, .call: true
    default: false
    }
  }
}
#endif
