/// Leaves out storing condition codes that nobody asks for before others take their place, though
/// something may fault or stop the block between: what they follow from is then still there.
///
/// A micro-op that sets them becomes one that does not, or vanishes. It goes behind the block's last
/// micro-op, where ``resolve(_:_:before:)`` finds it when the block is left in its middle, and stores
/// what would have been stored, bit for bit. Compiled code has a finer way (``FlagForm``'s other use).
enum FlagDeferral {
  /// A micro-op whose condition codes nobody asked for yet.
  private struct Candidate {
    var index: Int
    var slots: [UInt8]
    /// Whether they still follow from the slots.
    var holds = true
  }

  /// - Parameters:
  ///   - ops: the micro-ops of a whole block, as lifted; those that are deferred are changed.
  ///   - natives: what helpers do.
  ///   - deferred: gets the originals of those, with the last instruction that sees them in the upper
  ///     half of `gi`.
  static func apply(
    _ ops: inout [MicroOp], _ natives: NativeTable, into deferred: inout [MicroOp]
  ) {
    var candidate: Candidate?
    var removed: [Int] = []
    // The instruction behind whose end the block may be left.
    var left: UInt16?
    for index in ops.indices {
      let op = ops[index]
      let effect = Effect(op, natives)
      if effect.mayLeave { left = op.gi }
      if effect.asks { candidate = nil }
      if effect.mayLeave, let waiting = candidate, !waiting.holds { candidate = nil }
      if effect.sets {
        if let waiting = candidate {
          var original = ops[waiting.index]
          let plain = plain(original)
          if isKept(original) { (original.a, original.d) = (UInt8(kept), UInt8(Slot.sink)) }
          original.gi |= op.gi << 8
          deferred.append(original)
          if let plain {
            ops[waiting.index] = plain
          } else {
            removed.append(waiting.index)
          }
        }
        candidate = nil
        if isKept(op) {
          let slots = op.op == .cmul ? [UInt8(kept), op.b] : [UInt8(kept)]
          candidate = Candidate(index: index, slots: slots, holds: op.op != .cmul || op.d != op.b)
        } else if isDeferrable(ops, index), let form = FlagForm(op) {
          candidate = Candidate(index: index, slots: form.slots(op))
        }
      } else if let slots = candidate?.slots {
        for written in effect.writes where slots.contains(written) {
          if op.gi == left { candidate = nil } else { candidate?.holds = false }
        }
      }
    }
    for index in removed.reversed() { ops.remove(at: index) }
  }

  /// Stores the condition codes that instruction `place` of the block begins with, if the block did not.
  @inline(never)
  static func resolve(
    _ x: UnsafeMutablePointer<UInt64>, _ block: UnsafeMutablePointer<Block>, before place: Int
  ) {
    let originals = block.pointee.ops + block.pointee.opCount
    for index in 0..<block.pointee.deferred {
      let op = originals[index]
      guard Int(op.gi & 0xff) < place, place <= Int(op.gi &>> 8) else { continue }
      switch op.op {
      case .cshli: StatusFlags.shiftLeft(x, op)
      case .cshri: StatusFlags.shiftRight(x, op)
      case .csari: StatusFlags.shiftRightSigned(x, op)
      case .cmul: StatusFlags.multiply(x, op)
      default: StatusFlags.resolve(x, op)
      }
      return
    }
  }

  /// Where an operand is kept that the result takes the place of.
  static let kept = Slot.temp + 13

  /// Whether its first operand is kept.
  private static func isKept(_ op: MicroOp) -> Bool {
    switch op.op {
    case .cshli, .cshri, .csari, .cmul: FlagForm.size(op) >= 4
    default: false
    }
  }

  /// Whether there is a micro-op that does the same and sets nothing, and the codes follow from slots.
  private static func isDeferrable(_ ops: [MicroOp], _ index: Int) -> Bool {
    let op = ops[index]
    switch op.op {
    case .ccmp, .ccmpi, .ctest, .ctesti: return true
    case .cadd, .csub:
      if op.d == op.a, op.d == op.b { return false }
    case .caddi, .csubi, .cand, .candi, .cor, .cori, .cxor, .cxori: break
    default: return false
    }
    if FlagForm.size(op) >= 4 { return true }
    // The plain ones leave something above a narrow result: the next one must not look there.
    guard index + 1 < ops.count else { return false }
    let next = ops[index + 1]
    switch (next.op, FlagForm.size(op)) {
    case (.ins8, _), (.ins8h, _): return next.a == op.d && next.d != op.d
    case (.ins16, 2): return next.a == op.d && next.d != op.d
    case (.st8, _), (.st16, 2): return next.b == op.d && next.a != op.d
    default: return false
    }
  }

  /// - Returns: `nil` for what only sets condition codes.
  private static func plain(_ op: MicroOp) -> MicroOp? {
    let narrow = FlagForm.size(op) == 4
    var plain = op
    plain.c = 0
    plain.e = 0
    switch op.op {
    case .cadd: plain.op = narrow ? .add32 : .add
    case .caddi: plain.op = narrow ? .addi32 : .addi
    case .csub: plain.op = narrow ? .sub32 : .sub
    case .csubi:
      plain.op = narrow ? .addi32 : .addi
      plain.imm = 0 &- op.imm
    case .cand: plain.op = narrow ? .and32 : .and
    case .candi:
      plain.op = .andi
      if narrow { plain.imm = op.imm & 0xffff_ffff }
    case .cor: plain.op = narrow ? .or32 : .or
    case .cori: plain.op = narrow ? .ori32 : .ori
    case .cxor: plain.op = narrow ? .xor32 : .xor
    case .cxori: plain.op = narrow ? .xori32 : .xori
    case .cshli: (plain.op, plain.imm) = (narrow ? .keepShl32i : .keepSlli, Int64(op.e))
    case .cshri: (plain.op, plain.imm) = (narrow ? .keepShr32i : .keepSrli, Int64(op.e))
    case .csari: (plain.op, plain.imm) = (narrow ? .keepSar32i : .keepSrai, Int64(op.e))
    case .cmul: plain.op = narrow ? .keepMul32 : .keepMul
    default: return nil
    }
    return plain
  }
}

/// What a lifted micro-op has to do with condition codes.
private struct Effect {
  /// Asks for them, or may: then what set them must have stored them.
  var asks = true
  /// Gives all of them new values.
  var sets = false
  /// The block may be left at it.
  var mayLeave = false
  /// The slots that it writes.
  var writes: [UInt8] = []

  init(_ op: MicroOp, _ natives: NativeTable) {
    let flags = UInt8(Slot.flagKind)...UInt8(Slot.flagB)
    switch op.op {
    case .cadd, .caddi, .csub, .csubi, .cand, .candi, .cor, .cori, .cxor, .cxori, .cmul, .cshli,
      .cshri, .csari, .ccmp, .ccmpi, .ctest, .ctesti:
      asks = false
      sets = true
    case .cadc, .csbb, .cinc, .cdec: sets = true
    case .movi, .mov, .add, .addi, .sub, .and, .andi, .or, .ori, .xor, .xori, .sll, .slli, .srl,
      .srli, .sra, .srai, .slt, .slti, .sltu, .sltiu, .addiw, .mul, .shadd, .sext8, .sext16,
      .zext16, .rori, .rev8, .zext32, .add32, .addi32, .sub32, .and32, .or32, .ori32, .xor32,
      .xori32, .mul32, .shl32i, .shr32i, .sar32i, .rol32i, .ins8, .ins8h, .ins16, .ins32, .ext8h,
      .movnz, .movz:
      asks = flags.contains(op.a) || flags.contains(op.b) || flags.contains(op.d)
      writes = [op.d]
    case .movv:
      asks = false
      writes = [op.d, op.d &+ 1]
    case .ld8s, .ld8u, .ld16s, .ld16u, .ld32s, .ld32u, .ld64, .ldm8u, .ldm16u, .ldm32u, .ldm64,
      .ldx8u, .ldx32u, .ldx64:
      asks = false
      mayLeave = true
      writes = [op.d]
    case .ldv:
      asks = false
      mayLeave = true
      writes = [op.d, op.d &+ 1]
    case .st8, .st16, .st32, .st64, .stx8, .stx32, .stx64, .stv:
      asks = false
      mayLeave = true
    case .helper:
      switch natives[op.imm] {
      case .check: asks = false
      case .vector(let vector) where vector.form != .compare:
        asks = false
        writes = [op.d, op.d &+ 1, op.d &+ 2, op.d &+ 3]
      default: break
      }
      mayLeave = true
    default: break
    }
  }
}
