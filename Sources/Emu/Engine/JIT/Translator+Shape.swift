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
    case .zext32, .addi32, .ori32, .xori32, .shl32i, .shr32i, .sar32i, .rol32i, .ins8, .ins8h,
      .ins16, .ext8h, .cinc, .cdec, .caddi, .csubi, .candi, .cori, .cxori, .cshli, .cshri, .csari,
      .ldm8u, .ldm16u, .ldm32u, .ldm64:
      return [.d, .a]
    case .ins32: return isVector(op.d) && !isVector(op.a) ? [] : [.d, .a]
    case .add32, .sub32, .and32, .or32, .xor32, .mul32, .movnz, .movz, .cadd, .csub, .cand, .cor,
      .cxor, .cmul, .ldx8u, .ldx32u, .ldx64, .stx8, .stx32, .stx64:
      return [.d, .a, .b]
    case .ccmp, .ctest: return [.a, .b]
    case .ccmpi, .ctesti, .jumpr: return .a
    case .setcc: return .d
    case .ldv, .movv:
      return isVector(op.d) && (op.op == .ldv || isVector(op.a)) ? [.d, .a] : []
    case .stv: return isVector(op.b) ? [.a, .b] : []
    case .fadd64: return floatShape(NativeFloat(.add, isDouble: true), op)
    case .fsub64: return floatShape(NativeFloat(.sub, isDouble: true), op)
    case .fmul64: return floatShape(NativeFloat(.mul, isDouble: true), op)
    case .helper:
      switch natives[op.imm] {
      case .float(let float)?: return floatShape(float, op)
      case .vector(let vector)?: return vectorShape(vector, op)
      case .check?: return .a
      case nil: return []
      }
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
    case .beq, .bne, .blt, .bge, .bltu, .bgeu, .bcc, .goto, .call: true
    default: false
    }
  }

  /// What host code does about an access: bytes, whether the page must be writable, whether `b` is an
  /// index.
  var hostAccess: (size: Int32, writes: Bool, isIndexed: Bool)? {
    switch self {
    case .ld8s, .ld8u: (1, false, false)
    case .ld16s, .ld16u: (2, false, false)
    case .ld32s, .ld32u, .ldbox32: (4, false, false)
    case .ld64: (8, false, false)
    case .ldv: (16, false, false)
    case .ldm8u, .st8: (1, true, false)
    case .ldm16u, .st16: (2, true, false)
    case .ldm32u, .st32: (4, true, false)
    case .ldm64, .st64: (8, true, false)
    case .stv: (16, true, false)
    case .ldx8u: (1, false, true)
    case .ldx32u: (4, false, true)
    case .ldx64: (8, false, true)
    case .stx8: (1, true, true)
    case .stx32: (4, true, true)
    case .stx64: (8, true, true)
    default: nil
    }
  }

  /// Whether it loads to `d`.
  var loads: Bool {
    switch self {
    case .ld8s, .ld8u, .ld16s, .ld16u, .ld32s, .ld32u, .ld64, .ldbox32, .ldm8u, .ldm16u, .ldm32u,
      .ldm64, .ldx8u, .ldx32u, .ldx64, .ldv:
      true
    default: false
    }
  }

  /// Whether `d` is what is stored.
  var storesD: Bool { self == .stx8 || self == .stx32 || self == .stx64 }
}
#endif
