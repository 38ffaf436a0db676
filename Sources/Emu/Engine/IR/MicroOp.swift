/// What a micro-op does.
///
/// The width is part of the operation.
///
/// `x` is the slot array, `d a b c e` the operand bytes, `imm` the immediate. A suffix `w` means: on
/// the low 32 bits, result sign-extended. The interpreter's `switch` has no default, so a new case
/// is demanded there by the compiler.
public enum Op: UInt8, CaseIterable, Sendable {
  // Moves.
  case movi, mov
  // 64-bit arithmetic, register and immediate forms.
  case add, addi, sub, and, andi, or, ori, xor, xori
  case sll, slli, srl, srli, sra, srai
  case slt, slti, sltu, sltiu
  // 32-bit arithmetic, sign-extended.
  case addw, addiw, subw, sllw, slliw, srlw, srliw, sraw, sraiw
  // Multiplication and division, with the results that RISC-V gives for zero and overflow.
  case mul, mulh, mulhu, mulhsu, mulw
  case div, divu, rem, remu, divw, divuw, remw, remuw
  // Address arithmetic: (a << imm) + b, and the same with `a` zero-extended from 32 bits.
  case shadd, shadduw, slliuw
  // Bit manipulation.
  case andn, orn, xnor, clz, clzw, ctz, ctzw, cpop, cpopw
  case max, maxu, min, minu
  case sext8, sext16, zext16
  case rol, ror, rori, rolw, rorw, roriw, orcb, rev8
  case bclr, bclri, bext, bexti, binv, binvi, bset, bseti
  // d = b == 0 ? 0 : a, and the opposite.
  case czeroeqz, czeronez
  // Loads: d = memory[a + imm]. `ldbox32` fills the upper half with ones (NaN boxing).
  case ld8s, ld8u, ld16s, ld16u, ld32s, ld32u, ld64, ldbox32
  // Stores: memory[a + imm] = b.
  case st8, st16, st32, st64
  // Fused pairs, made by `Fusion` and never by a lift: both halves in order, one dispatch. `lo` and
  // `hi` are the signed halves of `imm`.
  // x[d] = x[a] + lo; x[b] = x[c] + hi
  case addiAddi
  // x[c] = x[a] op1 e (or x[b]); x[d] = x[c] op2 x[b] (or x[e], or imm)
  case slliAdd, srliAdd, srliXor, slliSrli, addAdd, addAddi, mulAdd
  // x[c] = x[a] + x[b]; x[d] = memory[x[c] + imm]
  case addLd64, addLd32s, addLd8u
  // Optimistic pairs: where an access needs the slow path nothing is done, and the two ops that they
  // stand for follow. x[d] = memory[x[a] + lo]; x[b] = memory[x[a] + hi] (stores: memory = x).
  case ld64Ld64, ld32sLd32s, st64St64
  // x[d] = memory[x[a] + lo] (store: memory[x[a] + lo] = x[d]); x[b] = x[c] + hi
  case ld64Addi, ld64Addiw, ld32sAddi, st64Addi, st8Add
  // Double-precision arithmetic. Where the host's result is provably the right one (nearest even, by
  // `e` = 0 or by `e` = 7 and `Slot.fpRounding`; inexact accrued; result neither tiny nor infinite nor
  // a NaN) it is taken; else `imm` is the address of the ``Helper`` that does it.
  case fadd64, fsub64, fmul64
  // Calls. `imm` is the address of a ``Helper``. `helperExit` is the last of its block.
  case helper, helperExit
  // Reports an instruction to the hart's observer; `imm` is its pc.
  case observe
  // Notes in the hart's block log that the block begins.
  case logBlock
  // Reports an access to x[a] + imm to the observer: of `c` bytes, a store where bit 0 of `e` is set;
  // where bit 1 is, x[b] << d is added.
  case observeAccess
  // Terminators. `imm` is the target's pc; the other way is the block's end.
  case beq, bne, blt, bge, bltu, bgeu
  case goto
  // x[d] = x[a] + lo; then compare x[b] with x[c]; the target is hi bytes from the block's start.
  case addiBeq, addiBne, addiBlt, addiBltu, addiBgeu, addiwBne
  // x[d] = x[a] + imm; go to x[b] & ~1.
  case addiGotor
  // d = block's end; go to imm.
  case call
  // target = (a + imm) & ~1; d = block's end; go to target.
  case callr
  // target = a & ~1 (returns and computed jumps without a link).
  case gotor

  // MARK: For guests with condition codes and with sub-registers (x86-64)

  // On the low 32 bits, zero-extended.
  case zext32, add32, addi32, sub32, and32, or32, ori32, xor32, xori32, mul32
  case shl32i, shr32i, sar32i, rol32i
  // x[d] with its low 8, 16 or 32 bits, or bits 8 to 15, replaced by those of x[a].
  case ins8, ins8h, ins16, ins32
  // d = bits 8 to 15 of a.
  case ext8h
  // x[d] = x[a] unless x[b] is zero; unless it is not.
  case movnz, movz
  // Arithmetic that sets the condition codes: `c` is a ``FlagKind`` byte, which also says the width;
  // the result is zero-extended to `d`. The immediate forms take `imm` for `b`.
  case cadd, caddi, csub, csubi, cand, candi, cor, cori, cxor, cxori
  case cadc, csbb, cinc, cdec
  // The product as signed numbers, with carry and overflow where it does not fit.
  case cmul
  // The same without a result.
  case ccmp, ccmpi, ctest, ctesti
  // Shifts of `a` by the constant `e`, 1 to width - 1.
  case cshli, cshri, csari
  // The condition codes as bits (``StatusFlags``); and set by such bits in `a`.
  case flags, setFlags
  // d = 1 where condition `c` (``StatusFlags/holds(_:_:)``) holds, else 0.
  case setcc
  // Loads that a store to the same bytes follows: they fault as the store would.
  case ldm8u, ldm16u, ldm32u, ldm64
  // d = memory[a + (b << c) + imm], and such stores of `d`.
  case ldx8u, ldx32u, ldx64, stx8, stx32, stx64
  // x[d], x[d + 1] = 16 bytes at memory[a + imm], and the opposite; all or nothing. And between slots.
  case ldv, stv, movv
  // Terminators: where condition `c` holds go to imm; go to (a + imm), odd addresses included.
  case bcc, jumpr

  // MARK: Fused for guests with condition codes, never by a lift

  // What sets the condition codes, and the branch that asks for them: `e` is a ``BranchCondition``. The target
  // is imm, or with an immediate operand (lo) hi bytes from the block's start.
  case ccmpBranch, ccmpiBranch, ctestBranch, ctestiBranch, caddiBranch, csubiBranch
  // Those of the most frequent conditions: taken where the outcome, or with `e` = 1 its opposite, is seen.
  case ccmpBranchZero, ccmpBranchCarry, ccmpBranchLess
  case ccmpiBranchZero, ccmpiBranchCarry, ccmpiBranchLess
  case ctestBranchZero, ctestiBranchZero, caddiBranchZero, csubiBranchZero
  // x[c] = x[a] << e; x[d] = x[c] ^ x[b]
  case slliXor
  // All from here to `ldxAlu64` are optimistic: where the next block is not known, or an access needs
  // the slow path, nothing is done and what they stand for follows.
  // Two stores of x[d] and x[b] at x[a] - 8, each behind a decrement by 8; and the opposite.
  case push2, pop2
  // memory[x[a] - 8] = x[d]; x[a] -= 8; x[b] = x[a].
  case pushMov
  // memory[x[a] - 8] = imm; x[a] -= 8; go where the block's terminator does.
  case pushCall
  // target = memory[x[a]]; x[a] += imm.
  case popReturn
  // x[d] = memory[x[a]]; x[a] += 8; then `popReturn`.
  case pop2Return
  // target = x[a]; target = memory[x[a] + (x[b] << c) + imm].
  case checkedJump, ldxJump
  // x[d] = memory[x[a] + imm]; x[d + 1] = 0.
  case ld64Zero
  // x[b] = x[a] of 32 bits; x[d] = memory[x[b] + imm], or memory[x[e] + (x[b] << c) + imm].
  case zextLd8u, zextLdx32u
  // A load into the slot hi, and x[d] = x[e] op what was loaded, by bits 4 and up of `c`
  // (``LoadedOperation``), from x[a] + lo or x[a] + (x[b] << (c & 15)) + lo; x[e] is also
  // kept in ``FlagDeferral``'s slot.
  case ldAlu32, ldAlu64, ldxAlu32, ldxAlu64
  // The same as those without `keep`, and the first operand is kept in ``FlagDeferral``'s slot.
  case keepSlli, keepSrli, keepSrai, keepShl32i, keepShr32i, keepSar32i, keepMul, keepMul32
  // Where all is well (``NativeCheck``) nothing, else the ``Helper`` at `imm`.
  case canonical, aligned
  // Double-precision arithmetic on vectors' first halves, as `fadd64` is done, with the control register
  // of x86 in slot `e`: x[d] = x[a] op x[b], of a root of x[b].
  case vadd64, vsub64, vmul64, vdiv64, vsqrt64
}

extension Op {
  /// How many bytes of memory a load or store that a lift emits accesses, and which of the two.
  var access: (size: UInt8, isStore: Bool)? {
    switch self {
    case .ld8s, .ld8u, .ldm8u, .ldx8u: (1, false)
    case .ld16s, .ld16u, .ldm16u: (2, false)
    case .ld32s, .ld32u, .ldbox32, .ldm32u, .ldx32u: (4, false)
    case .ld64, .ldm64, .ldx64: (8, false)
    case .ldv: (16, false)
    case .st8, .stx8: (1, true)
    case .st16: (2, true)
    case .st32, .stx32: (4, true)
    case .st64, .stx64: (8, true)
    case .stv: (16, true)
    default: nil
    }
  }

  /// Whether the address of its access has an index: x[b] shifted by `c`.
  var isIndexed: Bool {
    switch self {
    case .ldx8u, .ldx32u, .ldx64, .stx8, .stx32, .stx64: true
    default: false
    }
  }
}

/// One micro-op: 16 bytes.
///
/// `gi` is the index in its block of the guest instruction that it belongs to: with it pc, fault
/// address and retired count are exact at every fault.
public struct MicroOp: Sendable {
  /// The operation.
  public var op: Op
  /// Destination slot.
  public var d: UInt8
  /// First source slot.
  public var a: UInt8
  /// Second source slot.
  public var b: UInt8
  /// Index of the guest instruction within the block.
  public var gi: UInt16
  /// Third source slot, or a small immediate.
  public var c: UInt8
  /// A small immediate.
  public var e: UInt8
  /// Immediate, target pc or address of a ``Helper``.
  public var imm: Int64

  /// A micro-op of the given parts.
  public init(
    _ op: Op, d: UInt8 = 0, a: UInt8 = 0, b: UInt8 = 0, gi: UInt16 = 0, c: UInt8 = 0,
    e: UInt8 = 0, imm: Int64 = 0
  ) {
    self.op = op
    self.d = d
    self.a = a
    self.b = b
    self.gi = gi
    self.c = c
    self.e = e
    self.imm = imm
  }

  /// Where a branch leads that ends `block`: those with an operand beside it pack both.
  func target(of block: UnsafeMutablePointer<Block>) -> UInt64 {
    switch op {
    case .addiBeq, .addiBne, .addiBlt, .addiBltu, .addiBgeu, .addiwBne, .ccmpiBranch,
      .ccmpiBranchZero, .ccmpiBranchCarry, .ccmpiBranchLess, .ctestiBranch, .ctestiBranchZero,
      .caddiBranch, .caddiBranchZero, .csubiBranch, .csubiBranchZero:
      block.pointee.pc &+ high(unsigned(imm))
    default: unsigned(imm)
    }
  }
}

/// What a micro-op calls for everything rare: floating point, system registers, traps.
///
/// A C function pointer, so that compiled code can call it too. It receives the hart's slots and
/// the calling micro-op; it reports by setting `Slot.pending`.
public typealias Helper =
  @convention(c) (
    UnsafeMutablePointer<UInt64>, UnsafePointer<MicroOpRaw>
  ) -> Void

/// The C view of a ``MicroOp``, which a ``Helper`` receives.
public typealias MicroOpRaw = UInt64

extension UnsafePointer where Pointee == MicroOpRaw {
  /// The micro-op behind a helper's second argument.
  @inlinable @inline(__always)
  public var op: MicroOp {
    UnsafeRawPointer(self).assumingMemoryBound(to: MicroOp.self).pointee
  }
}
