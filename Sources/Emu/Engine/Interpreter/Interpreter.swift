/// Which micro-ops a loop has in line.
protocol OpSet {
  /// Those that set or ask for condition codes, and those for parts of registers.
  static var hasConditionCodes: Bool { get }
}

/// All but those.
///
/// The compiler shares registers out among all cases, and with those among them the others were up to a
/// third slower.
enum PlainOps: OpSet { static var hasConditionCodes: Bool { false } }

/// All.
enum FlagOps: OpSet { static var hasConditionCodes: Bool { true } }

/// Runs blocks from `entry` on until the budget is short of the next block or something is pending.
///
/// - Parameters:
///   - x: the hart's slots. `Slot.pc` is exact on return.
///   - entry: the first block.
///   - budget: instructions that may be begun; `entry` fits.
/// - Returns: what is left of the budget, exact.
func interpret(
  _ x: UnsafeMutablePointer<UInt64>, _ entry: UnsafeMutablePointer<Block>, _ budget: Int64
) -> Int64 {
  x[Slot.conditionCodes] == 0
    ? interpret(PlainOps.self, x, entry, budget) : interpret(FlagOps.self, x, entry, budget)
}

/// The loop of one set of micro-ops.
///
/// One `switch` over the micro-op, no default, everything mutable in locals or in the slots: see
/// `Docs/decisions/0002-interpreter.md` for what this form is worth.
@inline(never)
private func interpret<Ops: OpSet>(
  _: Ops.Type, _ x: UnsafeMutablePointer<UInt64>, _ entry: UnsafeMutablePointer<Block>,
  _ budget: Int64
) -> Int64 {
  let tlb = UnsafeMutablePointer<TLBEntry>(bitPattern: UInt(x[Slot.tlb])).unsafelyUnwrapped
  let jumps = UnsafeMutablePointer<JumpEntry>(bitPattern: UInt(x[Slot.jumpCache]))
    .unsafelyUnwrapped
  let jumpTag = x[Slot.jumpTag]
  var left = budget
  var block = entry
  var ip = block.pointee.ops

  nextBlock: while true {
    left &-= block.pointee.count
    if _slowPath(left < 0) {
      left &+= block.pointee.count
      x[Slot.pc] = block.pointee.pc
      return left
    }
    ip = block.pointee.ops
    // Set by a terminator whose way is not known yet.
    var taken = false
    var falls = false
    var indirect = false
    var target: UInt64 = 0

    run: while true {
      resolve: do {
        branch: do {
          let op = ip
          let d = Int(op.pointee.d)
          let a = Int(op.pointee.a)
          let b = Int(op.pointee.b)
          let imm = UInt64(bitPattern: op.pointee.imm)
          switch op.pointee.op {
          case .movi: x[d] = imm
          case .mov: x[d] = x[a]

          case .add: x[d] = x[a] &+ x[b]
          case .addi: x[d] = x[a] &+ imm
          case .sub: x[d] = x[a] &- x[b]
          case .and: x[d] = x[a] & x[b]
          case .andi: x[d] = x[a] & imm
          case .or: x[d] = x[a] | x[b]
          case .ori: x[d] = x[a] | imm
          case .xor: x[d] = x[a] ^ x[b]
          case .xori: x[d] = x[a] ^ imm
          case .sll: x[d] = x[a] &<< x[b]
          case .slli: x[d] = x[a] &<< imm
          case .srl: x[d] = x[a] &>> x[b]
          case .srli: x[d] = x[a] &>> imm
          case .sra: x[d] = unsigned(signed(x[a]) &>> signed(x[b]))
          case .srai: x[d] = unsigned(signed(x[a]) &>> signed(imm))
          case .slt: x[d] = signed(x[a]) < signed(x[b]) ? 1 : 0
          case .slti: x[d] = signed(x[a]) < signed(imm) ? 1 : 0
          case .sltu: x[d] = x[a] < x[b] ? 1 : 0
          case .sltiu: x[d] = x[a] < imm ? 1 : 0

          case .addw: x[d] = extend(x[a] &+ x[b])
          case .addiw: x[d] = extend(x[a] &+ imm)
          case .subw: x[d] = extend(x[a] &- x[b])
          case .sllw: x[d] = extend(word(x[a]) &<< word(x[b]))
          case .slliw: x[d] = extend(word(x[a]) &<< word(imm))
          case .srlw: x[d] = extend(word(x[a]) &>> word(x[b]))
          case .srliw: x[d] = extend(word(x[a]) &>> word(imm))
          case .sraw: x[d] = extend(Int32(bitPattern: word(x[a])) &>> Int32(bitPattern: word(x[b])))
          case .sraiw: x[d] = extend(Int32(bitPattern: word(x[a])) &>> Int32(bitPattern: word(imm)))

          case .mul: x[d] = x[a] &* x[b]
          case .mulh: x[d] = unsigned(signed(x[a]).multipliedFullWidth(by: signed(x[b])).high)
          case .mulhu: x[d] = x[a].multipliedFullWidth(by: x[b]).high
          case .mulhsu:
            let high = x[a].multipliedFullWidth(by: x[b]).high
            x[d] = signed(x[a]) < 0 ? high &- x[b] : high
          case .mulw: x[d] = extend(x[a] &* x[b])
          case .div: x[d] = divide(signed(x[a]), signed(x[b]))
          case .divu: x[d] = x[b] == 0 ? .max : x[a] / x[b]
          case .rem: x[d] = remainder(signed(x[a]), signed(x[b]))
          case .remu: x[d] = x[b] == 0 ? x[a] : x[a] % x[b]
          case .divw:
            let by = Int32(truncatingIfNeeded: x[b])
            x[d] = extend(
              by == 0 ? -1 : Int32(truncatingIfNeeded: x[a]).dividedReportingOverflow(by: by).0)
          case .divuw: x[d] = extend(word(x[b]) == 0 ? .max : word(x[a]) / word(x[b]))
          case .remw:
            let by = Int32(truncatingIfNeeded: x[b])
            let of = Int32(truncatingIfNeeded: x[a])
            x[d] = extend(by == 0 ? of : by == -1 ? 0 : of % by)
          case .remuw: x[d] = extend(word(x[b]) == 0 ? word(x[a]) : word(x[a]) % word(x[b]))

          case .shadd: x[d] = (x[a] &<< imm) &+ x[b]
          case .shadduw: x[d] = (UInt64(word(x[a])) &<< imm) &+ x[b]
          case .slliuw: x[d] = UInt64(word(x[a])) &<< imm

          case .andn: x[d] = x[a] & ~x[b]
          case .orn: x[d] = x[a] | ~x[b]
          case .xnor: x[d] = ~(x[a] ^ x[b])
          case .clz: x[d] = UInt64(x[a].leadingZeroBitCount)
          case .clzw: x[d] = UInt64(word(x[a]).leadingZeroBitCount)
          case .ctz: x[d] = UInt64(x[a].trailingZeroBitCount)
          case .ctzw: x[d] = UInt64(word(x[a]).trailingZeroBitCount)
          case .cpop: x[d] = UInt64(x[a].nonzeroBitCount)
          case .cpopw: x[d] = UInt64(word(x[a]).nonzeroBitCount)
          case .max: x[d] = signed(x[a]) < signed(x[b]) ? x[b] : x[a]
          case .maxu: x[d] = x[a] < x[b] ? x[b] : x[a]
          case .min: x[d] = signed(x[a]) < signed(x[b]) ? x[a] : x[b]
          case .minu: x[d] = x[a] < x[b] ? x[a] : x[b]
          case .sext8: x[d] = unsigned(Int64(Int8(truncatingIfNeeded: x[a])))
          case .sext16: x[d] = unsigned(Int64(Int16(truncatingIfNeeded: x[a])))
          case .zext16: x[d] = x[a] & 0xffff
          case .rol: x[d] = x[a] &<< x[b] | x[a] &>> (0 &- x[b])
          case .ror: x[d] = x[a] &>> x[b] | x[a] &<< (0 &- x[b])
          case .rori: x[d] = x[a] &>> imm | x[a] &<< (0 &- imm)
          case .rolw:
            x[d] = extend(word(x[a]) &<< word(x[b]) | word(x[a]) &>> (0 &- word(x[b])))
          case .rorw:
            x[d] = extend(word(x[a]) &>> word(x[b]) | word(x[a]) &<< (0 &- word(x[b])))
          case .roriw:
            x[d] = extend(word(x[a]) &>> word(imm) | word(x[a]) &<< (0 &- word(imm)))
          case .orcb: x[d] = orCombine(x[a])
          case .rev8: x[d] = x[a].byteSwapped
          case .bclr: x[d] = x[a] & ~(1 &<< x[b])
          case .bclri: x[d] = x[a] & ~(1 &<< imm)
          case .bext: x[d] = (x[a] &>> x[b]) & 1
          case .bexti: x[d] = (x[a] &>> imm) & 1
          case .binv: x[d] = x[a] ^ (1 &<< x[b])
          case .binvi: x[d] = x[a] ^ (1 &<< imm)
          case .bset: x[d] = x[a] | (1 &<< x[b])
          case .bseti: x[d] = x[a] | (1 &<< imm)
          case .czeroeqz: x[d] = x[b] == 0 ? 0 : x[a]
          case .czeronez: x[d] = x[b] == 0 ? x[a] : 0

          case .ld8s: if load(Int8.self, x, tlb, x[a] &+ imm, block, ip, left) { break run }
          case .ld8u: if load(UInt8.self, x, tlb, x[a] &+ imm, block, ip, left) { break run }
          case .ld16s: if load(Int16.self, x, tlb, x[a] &+ imm, block, ip, left) { break run }
          case .ld16u: if load(UInt16.self, x, tlb, x[a] &+ imm, block, ip, left) { break run }
          case .ld32s: if load(Int32.self, x, tlb, x[a] &+ imm, block, ip, left) { break run }
          case .ld32u: if load(UInt32.self, x, tlb, x[a] &+ imm, block, ip, left) { break run }
          case .ldbox32:
            let va = x[a] &+ imm
            if let from = readable(tlb, va, 4) {
              x[d] = UInt64(from.loadUnaligned(as: UInt32.self)) | 0xffff_ffff_0000_0000
            } else {
              spill(x, block, ip, left)
              if loadSlow(x, va, 4, .boxed, d) { break run }
            }
          case .ld64: if load(UInt64.self, x, tlb, x[a] &+ imm, block, ip, left) { break run }

          case .st8:
            if store(UInt8.self, x, tlb, x[a] &+ imm, x[b], block, ip, left) { break run }
          case .st16:
            if store(UInt16.self, x, tlb, x[a] &+ imm, x[b], block, ip, left) { break run }
          case .st32:
            if store(UInt32.self, x, tlb, x[a] &+ imm, x[b], block, ip, left) { break run }
          case .st64:
            if store(UInt64.self, x, tlb, x[a] &+ imm, x[b], block, ip, left) { break run }

          case .addiAddi:
            x[d] = x[a] &+ low(imm)
            x[b] = x[Int(op.pointee.c)] &+ high(imm)
          case .slliAdd:
            let c = Int(op.pointee.c)
            x[c] = x[a] &<< UInt64(op.pointee.e)
            x[d] = x[c] &+ x[b]
          case .srliAdd:
            let c = Int(op.pointee.c)
            x[c] = x[a] &>> UInt64(op.pointee.e)
            x[d] = x[c] &+ x[b]
          case .srliXor:
            let c = Int(op.pointee.c)
            x[c] = x[a] &>> UInt64(op.pointee.e)
            x[d] = x[c] ^ x[b]
          case .slliSrli:
            let shifted = x[a] &<< UInt64(op.pointee.e)
            x[Int(op.pointee.c)] = shifted
            x[d] = shifted &>> imm
          case .addAdd:
            let c = Int(op.pointee.c)
            x[c] = x[a] &+ x[b]
            x[d] = x[c] &+ x[Int(op.pointee.e)]
          case .addAddi:
            x[Int(op.pointee.c)] = x[a] &+ x[b]
            x[d] = x[Int(op.pointee.e)] &+ imm
          case .mulAdd:
            let c = Int(op.pointee.c)
            x[c] = x[a] &* x[b]
            x[d] = x[c] &+ x[Int(op.pointee.e)]
          case .addLd64:
            let sum = x[a] &+ x[b]
            x[Int(op.pointee.c)] = sum
            if load(UInt64.self, x, tlb, sum &+ imm, block, ip, left) { break run }
          case .addLd32s:
            let sum = x[a] &+ x[b]
            x[Int(op.pointee.c)] = sum
            if load(Int32.self, x, tlb, sum &+ imm, block, ip, left) { break run }
          case .addLd8u:
            let sum = x[a] &+ x[b]
            x[Int(op.pointee.c)] = sum
            if load(UInt8.self, x, tlb, sum &+ imm, block, ip, left) { break run }

          case .ld64Ld64:
            let base = x[a]
            if let first = readable(tlb, base &+ low(imm), 8),
              let second = readable(tlb, base &+ high(imm), 8)
            {
              x[d] = first.loadUnaligned(as: UInt64.self)
              x[b] = second.loadUnaligned(as: UInt64.self)
              ip += 2
            }
          case .ld32sLd32s:
            let base = x[a]
            if let first = readable(tlb, base &+ low(imm), 4),
              let second = readable(tlb, base &+ high(imm), 4)
            {
              x[d] = unsigned(Int64(first.loadUnaligned(as: Int32.self)))
              x[b] = unsigned(Int64(second.loadUnaligned(as: Int32.self)))
              ip += 2
            }
          case .st64St64:
            let base = x[a]
            if let first = writable(tlb, base &+ low(imm), 8),
              let second = writable(tlb, base &+ high(imm), 8)
            {
              first.storeBytes(of: x[d], as: UInt64.self)
              second.storeBytes(of: x[b], as: UInt64.self)
              ip += 2
            }
          case .ld64Addi:
            if let from = readable(tlb, x[a] &+ low(imm), 8) {
              x[d] = from.loadUnaligned(as: UInt64.self)
              x[b] = x[Int(op.pointee.c)] &+ high(imm)
              ip += 2
            }
          case .ld64Addiw:
            if let from = readable(tlb, x[a] &+ low(imm), 8) {
              x[d] = from.loadUnaligned(as: UInt64.self)
              x[b] = extend(x[Int(op.pointee.c)] &+ high(imm))
              ip += 2
            }
          case .ld32sAddi:
            if let from = readable(tlb, x[a] &+ low(imm), 4) {
              x[d] = unsigned(Int64(from.loadUnaligned(as: Int32.self)))
              x[b] = x[Int(op.pointee.c)] &+ high(imm)
              ip += 2
            }
          case .st64Addi:
            if let to = writable(tlb, x[a] &+ low(imm), 8) {
              to.storeBytes(of: x[d], as: UInt64.self)
              x[b] = x[Int(op.pointee.c)] &+ high(imm)
              ip += 2
            }
          case .st8Add:
            if let to = writable(tlb, x[a] &+ low(imm), 1) {
              to.storeBytes(of: UInt8(truncatingIfNeeded: x[d]), as: UInt8.self)
              x[b] = x[Int(op.pointee.c)] &+ x[Int(op.pointee.e)]
              ip += 2
            }

          case .fadd64:
            let result = (Double(bitPattern: x[a]) + Double(bitPattern: x[b])).bitPattern
            if _fastPath(roundsToNearest(x, op.pointee.e) && isFinite(result)) {
              x[d] = result
            } else {
              spill(x, block, ip, left)
              unsafeBitCast(Int(truncatingIfNeeded: imm), to: Helper.self)(x, raw(ip))
              if _slowPath(x[Slot.pending] != 0) { break run }
            }
          case .fsub64:
            let result = (Double(bitPattern: x[a]) - Double(bitPattern: x[b])).bitPattern
            if _fastPath(roundsToNearest(x, op.pointee.e) && isFinite(result)) {
              x[d] = result
            } else {
              spill(x, block, ip, left)
              unsafeBitCast(Int(truncatingIfNeeded: imm), to: Helper.self)(x, raw(ip))
              if _slowPath(x[Slot.pending] != 0) { break run }
            }
          case .fmul64:
            let result = (Double(bitPattern: x[a]) * Double(bitPattern: x[b])).bitPattern
            if _fastPath(roundsToNearest(x, op.pointee.e) && isNormal(result)) {
              x[d] = result
            } else {
              spill(x, block, ip, left)
              unsafeBitCast(Int(truncatingIfNeeded: imm), to: Helper.self)(x, raw(ip))
              if _slowPath(x[Slot.pending] != 0) { break run }
            }
          case .helper:
            spill(x, block, ip, left)
            unsafeBitCast(Int(truncatingIfNeeded: imm), to: Helper.self)(x, raw(ip))
            if _slowPath(x[Slot.pending] != 0) { break run }
          case .helperExit:
            spill(x, block, ip, left)
            x[Slot.pc] = block.pointee.end
            unsafeBitCast(Int(truncatingIfNeeded: imm), to: Helper.self)(x, raw(ip))
            if x[Slot.pending] == Pending.exception.rawValue { break run }
            return left
          case .observe:
            spill(x, block, ip, left)
            x[Slot.pc] = imm
            observed(x)
            if _slowPath(x[Slot.pending] != 0) {
              // A stop before the instruction: it has not begun.
              return left &+ block.pointee.count &- Int64(op.pointee.gi)
            }
          case .logBlock:
            spill(x, block, ip, left)
            noteBlock(x)
          case .observeAccess:
            spill(x, block, ip, left)
            observedAccess(x, ip)

          case .beq:
            taken = x[a] == x[b]
            break branch
          case .bne:
            taken = x[a] != x[b]
            break branch
          case .blt:
            taken = signed(x[a]) < signed(x[b])
            break branch
          case .bge:
            taken = signed(x[a]) >= signed(x[b])
            break branch
          case .bltu:
            taken = x[a] < x[b]
            break branch
          case .bgeu:
            taken = x[a] >= x[b]
            break branch
          case .addiBeq:
            x[d] = x[a] &+ low(imm)
            taken = x[b] == x[Int(op.pointee.c)]
            break branch
          case .addiBne:
            x[d] = x[a] &+ low(imm)
            taken = x[b] != x[Int(op.pointee.c)]
            break branch
          case .addiBlt:
            x[d] = x[a] &+ low(imm)
            taken = signed(x[b]) < signed(x[Int(op.pointee.c)])
            break branch
          case .addiBltu:
            x[d] = x[a] &+ low(imm)
            taken = x[b] < x[Int(op.pointee.c)]
            break branch
          case .addiBgeu:
            x[d] = x[a] &+ low(imm)
            taken = x[b] >= x[Int(op.pointee.c)]
            break branch
          case .addiwBne:
            x[d] = extend(x[a] &+ low(imm))
            taken = x[b] != x[Int(op.pointee.c)]
            break branch
          case .addiGotor:
            x[d] = x[a] &+ imm
            target = x[b] & ~1
            let entry = jumps + JumpEntry.index(target)
            if _fastPath(entry.pointee.pc == target && entry.pointee.tag == jumpTag) {
              block = entry.pointee.block.unsafelyUnwrapped
              continue nextBlock
            }
            indirect = true
            break resolve
          case .goto:
            if let next = block.pointee.taken {
              block = next
              continue nextBlock
            }
            target = imm
            break resolve
          case .call:
            x[d] = block.pointee.end
            if let next = block.pointee.taken {
              block = next
              continue nextBlock
            }
            target = imm
            break resolve
          case .zext32, .add32, .addi32, .sub32, .and32, .or32, .ori32, .xor32, .xori32, .mul32,
            .shl32i, .shr32i, .sar32i, .rol32i, .ins8, .ins8h, .ins16, .ins32, .ext8h, .movnz,
            .movz, .cadd, .caddi, .csub, .csubi, .cand, .candi, .cor, .cori, .cxor, .cxori,
            .cadc, .csbb, .cinc, .cdec, .cmul, .ccmp, .ccmpi, .ctest, .ctesti, .cshli, .cshri,
            .csari,
            .flags, .setFlags, .setcc, .ldm8u, .ldm16u, .ldm32u, .ldm64, .ldx8u, .ldx32u, .ldx64,
            .stx8, .stx32, .stx64, .ldv, .stv, .movv, .slliXor, .keepSlli, .keepSrli, .keepSrai,
            .keepShl32i, .keepShr32i, .keepSar32i, .keepMul, .keepMul32, .canonical, .aligned,
            .vadd64, .vsub64, .vmul64, .vdiv64, .vsqrt64:
            if Ops.hasConditionCodes {
              if perform(x, tlb, block, ip, left) { break run }
            } else {
              if others(x, tlb, block, ip, left) { break run }
            }
          case .bcc:
            taken = StatusFlags.holds(x, op.pointee.c)
            break branch
          case .ccmpBranch:
            taken = compared(x, op, x[a], x[b]).take(op.pointee.e)
            break branch
          case .ccmpBranchZero:
            taken = (compared(x, op, x[a], x[b]).isZero ? 1 : 0) != op.pointee.e
            break branch
          case .ccmpBranchCarry:
            taken = (compared(x, op, x[a], x[b]).carries ? 1 : 0) != op.pointee.e
            break branch
          case .ccmpBranchLess:
            taken = (compared(x, op, x[a], x[b]).isLess ? 1 : 0) != op.pointee.e
            break branch
          case .ccmpiBranch:
            taken = compared(x, op, x[a], low(imm)).take(op.pointee.e)
            break branch
          case .ccmpiBranchZero:
            taken = (compared(x, op, x[a], low(imm)).isZero ? 1 : 0) != op.pointee.e
            break branch
          case .ccmpiBranchCarry:
            taken = (compared(x, op, x[a], low(imm)).carries ? 1 : 0) != op.pointee.e
            break branch
          case .ccmpiBranchLess:
            taken = (compared(x, op, x[a], low(imm)).isLess ? 1 : 0) != op.pointee.e
            break branch
          case .ctestBranch:
            taken = compared(x, op, x[a] & x[b], 0).take(op.pointee.e)
            break branch
          case .ctestBranchZero:
            taken = (compared(x, op, x[a] & x[b], 0).isZero ? 1 : 0) != op.pointee.e
            break branch
          case .ctestiBranch:
            taken = compared(x, op, x[a] & low(imm), 0).take(op.pointee.e)
            break branch
          case .ctestiBranchZero:
            taken = (compared(x, op, x[a] & low(imm), 0).isZero ? 1 : 0) != op.pointee.e
            break branch
          case .caddiBranch:
            let both = compared(x, op, x[a], low(imm))
            x[d] = both.sum(op)
            taken = BranchCondition.isTaken(op.pointee.e, sumOf: both.first, both.second)
            break branch
          case .caddiBranchZero:
            let both = compared(x, op, x[a], low(imm))
            let sum = both.sum(op)
            x[d] = sum
            taken = ((sum == 0) ? 1 : 0) != op.pointee.e
            break branch
          case .csubiBranch:
            let both = compared(x, op, x[a], low(imm))
            x[d] = both.difference(op)
            taken = both.take(op.pointee.e)
            break branch
          case .csubiBranchZero:
            let both = compared(x, op, x[a], low(imm))
            x[d] = both.difference(op)
            taken = (both.isZero ? 1 : 0) != op.pointee.e
            break branch
          case .pushCall:
            if let next = block.pointee.taken, let to = writable(tlb, x[a] &- 8, 8) {
              to.storeBytes(of: imm, as: UInt64.self)
              x[a] = x[a] &- 8
              block = next
              continue nextBlock
            }
          case .push2:
            let top = x[a] &- 16
            if let second = writable(tlb, top, 8), let first = writable(tlb, top &+ 8, 8) {
              first.storeBytes(of: x[d], as: UInt64.self)
              second.storeBytes(of: x[b], as: UInt64.self)
              x[a] = top
              ip += 4
            }
          case .pop2:
            let top = x[a]
            if let first = readable(tlb, top, 8), let second = readable(tlb, top &+ 8, 8) {
              x[d] = first.loadUnaligned(as: UInt64.self)
              x[b] = second.loadUnaligned(as: UInt64.self)
              x[a] = top &+ 16
              ip += 4
            }
          case .pushMov:
            let top = x[a] &- 8
            if let to = writable(tlb, top, 8) {
              to.storeBytes(of: x[d], as: UInt64.self)
              x[a] = top
              x[b] = top
              ip += 3
            }
          case .zextLd8u:
            let offset = UInt64(word(x[a]))
            if let from = readable(tlb, offset &+ imm, 1) {
              x[b] = offset
              x[d] = UInt64(from.loadUnaligned(as: UInt8.self))
              ip += 2
            }
          case .zextLdx32u:
            let index = UInt64(word(x[a]))
            let base = op.pointee.e == op.pointee.b ? index : x[Int(op.pointee.e)]
            if let from = readable(tlb, base &+ (index &<< UInt64(op.pointee.c)) &+ imm, 4) {
              x[b] = index
              x[d] = UInt64(from.loadUnaligned(as: UInt32.self))
              ip += 2
            }
          case .pop2Return:
            if let first = readable(tlb, x[a], 8), let second = readable(tlb, x[a] &+ 8, 8) {
              target = second.loadUnaligned(as: UInt64.self)
              let entry = jumps + JumpEntry.index(target)
              if _fastPath(entry.pointee.pc == target && entry.pointee.tag == jumpTag) {
                x[d] = first.loadUnaligned(as: UInt64.self)
                x[a] = x[a] &+ 8 &+ imm
                block = entry.pointee.block.unsafelyUnwrapped
                continue nextBlock
              }
            }
          case .popReturn:
            if let from = readable(tlb, x[a], 8) {
              target = from.loadUnaligned(as: UInt64.self)
              let entry = jumps + JumpEntry.index(target)
              if _fastPath(entry.pointee.pc == target && entry.pointee.tag == jumpTag) {
                x[a] = x[a] &+ imm
                block = entry.pointee.block.unsafelyUnwrapped
                continue nextBlock
              }
            }
          case .checkedJump:
            target = x[a]
            let entry = jumps + JumpEntry.index(target)
            if _fastPath(entry.pointee.pc == target && entry.pointee.tag == jumpTag) {
              block = entry.pointee.block.unsafelyUnwrapped
              continue nextBlock
            }
          case .ld64Zero:
            if let from = readable(tlb, x[a] &+ imm, 8) {
              x[d] = from.loadUnaligned(as: UInt64.self)
              x[d + 1] = 0
              ip += 2
            }
          case .ldAlu32:
            if let from = readable(tlb, x[a] &+ low(imm), 4) {
              let loaded = UInt64(from.loadUnaligned(as: UInt32.self))
              x[d] = UInt64(word(combine(x, op, loaded)))
              ip += 2
            }
          case .ldAlu64:
            if let from = readable(tlb, x[a] &+ low(imm), 8) {
              x[d] = combine(x, op, from.loadUnaligned(as: UInt64.self))
              ip += 2
            }
          case .ldxAlu32:
            let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c & 15)) &+ low(imm)
            if let from = readable(tlb, va, 4) {
              let loaded = UInt64(from.loadUnaligned(as: UInt32.self))
              x[d] = UInt64(word(combine(x, op, loaded)))
              ip += 2
            }
          case .ldxAlu64:
            let va = x[a] &+ (x[b] &<< UInt64(op.pointee.c & 15)) &+ low(imm)
            if let from = readable(tlb, va, 8) {
              x[d] = combine(x, op, from.loadUnaligned(as: UInt64.self))
              ip += 2
            }
          case .ldxJump:
            if let from = readable(tlb, x[a] &+ (x[b] &<< UInt64(op.pointee.c)) &+ imm, 8) {
              target = from.loadUnaligned(as: UInt64.self)
              let entry = jumps + JumpEntry.index(target)
              if _fastPath(entry.pointee.pc == target && entry.pointee.tag == jumpTag) {
                block = entry.pointee.block.unsafelyUnwrapped
                continue nextBlock
              }
            }
          case .jumpr:
            target = x[a] &+ imm
            let entry = jumps + JumpEntry.index(target)
            if _fastPath(entry.pointee.pc == target && entry.pointee.tag == jumpTag) {
              block = entry.pointee.block.unsafelyUnwrapped
              continue nextBlock
            }
            indirect = true
            break resolve
          case .callr, .gotor:
            target = (x[a] &+ imm) & ~1
            if op.pointee.op == .callr { x[d] = block.pointee.end }
            let entry = jumps + JumpEntry.index(target)
            if _fastPath(entry.pointee.pc == target && entry.pointee.tag == jumpTag) {
              block = entry.pointee.block.unsafelyUnwrapped
              continue nextBlock
            }
            indirect = true
            break resolve
          }
          ip += 1
          continue run
        }

        // A compare-and-branch.
        if taken {
          if let next = block.pointee.taken {
            block = next
            continue nextBlock
          }
          target = ip.pointee.target(of: block)
        } else {
          if let next = block.pointee.fall {
            block = next
            continue nextBlock
          }
          falls = true
          target = block.pointee.end
        }
      }

      // A terminator whose way is not known yet.
      x[Slot.pc] = target
      guard left > 0 else { return 0 }
      guard let next = follow(x, indirect ? nil : block, falls, target) else {
        // Either the fetch faulted, which begins an instruction, or the cache must be cleared.
        return x[Slot.pending] == Pending.exception.rawValue ? left &- 1 : left
      }
      block = next
      continue nextBlock
    }

    // Something is pending at `ip`.
    let gi = Int(ip.pointee.gi)
    left &+= block.pointee.count &- Int64(gi) &- 1
    // Behind a store the instruction has set its condition codes; behind a load the rest of it does.
    if block.pointee.deferred != 0 {
      let isSet =
        x[Slot.pending] != Pending.exception.rawValue && ip.pointee.op.access?.isStore == true
      FlagDeferral.resolve(x, block, before: isSet ? gi &+ 1 : gi)
    }
    if InsnRest.run(x) { return left }
    let exception = x[Slot.pending] == Pending.exception.rawValue
    x[Slot.pc] = block.pointee.pc &+ UInt64(block.pointee.offsets[exception ? gi : gi &+ 1])
    return left
  }
}

/// Two operands shifted to the top of their words, and what a branch asks of their comparison.
private struct Comparison {
  var first: UInt64
  var second: UInt64

  @inline(__always) var isZero: Bool { first == second }
  @inline(__always) var carries: Bool { first < second }
  @inline(__always) var isLess: Bool { signed(first) < signed(second) }
  /// Whether it takes a branch by this ``BranchCondition``.
  @inline(__always) func take(_ condition: UInt8) -> Bool {
    BranchCondition.isTaken(condition, first, second)
  }
  /// The difference in the micro-op's width.
  @inline(__always) func difference(_ op: UnsafeMutablePointer<MicroOp>) -> UInt64 {
    (first &- second) &>> UInt64(op.pointee.c & FlagKind.shiftMask)
  }
  /// The sum in the micro-op's width.
  @inline(__always) func sum(_ op: UnsafeMutablePointer<MicroOp>) -> UInt64 {
    (first &+ second) &>> UInt64(op.pointee.c & FlagKind.shiftMask)
  }
}

/// Notes two operands for those who ask for condition codes later.
@inline(__always)
private func compared(
  _ x: UnsafeMutablePointer<UInt64>, _ op: UnsafeMutablePointer<MicroOp>, _ a: UInt64, _ b: UInt64
) -> Comparison {
  let shift = UInt64(op.pointee.c & FlagKind.shiftMask)
  let both = Comparison(first: a &<< shift, second: b &<< shift)
  note(x, op.pointee.c, both.first, both.second)
  return both
}

/// What the second half of a load and operation gives (``LoadedOperation``): notes the loaded operand, and keeps
/// the other.
@inline(__always)
private func combine(
  _ x: UnsafeMutablePointer<UInt64>, _ op: UnsafeMutablePointer<MicroOp>, _ loaded: UInt64
) -> UInt64 {
  x[Int(high(unsigned(op.pointee.imm)) & 0xff)] = loaded
  let other = x[Int(op.pointee.e)]
  x[FlagDeferral.kept] = other
  return LoadedOperation.result(op.pointee.c &>> 4, other, loaded)
}

/// Whether an operation rounds to nearest even and can raise nothing new by being inexact.
@inline(__always)
private func roundsToNearest(_ x: UnsafeMutablePointer<UInt64>, _ mode: UInt8) -> Bool {
  x[Slot.fpFlags] & 1 != 0 && (mode == 0 || (mode == 7 && x[Slot.fpRounding] == 0))
}

/// A sum that is tiny is exact, so of a sum no more is asked.
@inline(__always)
func isFinite(_ bits: UInt64) -> Bool {
  bits & 0x7ff0_0000_0000_0000 != 0x7ff0_0000_0000_0000
}

/// Strictly between the least normal number and infinity in magnitude.
@inline(__always)
func isNormal(_ bits: UInt64) -> Bool {
  (bits & 0x7fff_ffff_ffff_ffff) &- 0x10_0000_0000_0001 < 0x7fdf_ffff_ffff_ffff
}

/// The block of `Slot.block` begins: the hart's log gets it.
@inline(never)
func noteBlock(_ x: UnsafeMutablePointer<UInt64>) {
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    guard let block = UnsafeMutablePointer<Block>(bitPattern: UInt(x[Slot.block])) else { return }
    let begun = x[Slot.target] &- x[Slot.left] &- UInt64(bitPattern: block.pointee.count)
    hart.blockLog?.enter(block, begun, hart)
  }
}

@inline(never)
private func observed(_ x: UnsafeMutablePointer<UInt64>) {
  Hart.of(x)._withUnsafeGuaranteedRef { $0.observer?.willExecute(x[Slot.pc], on: $0) }
}

@inline(never)
private func observedAccess(
  _ x: UnsafeMutablePointer<UInt64>, _ ip: UnsafeMutablePointer<MicroOp>
) {
  let op = ip.pointee
  Hart.of(x)._withUnsafeGuaranteedRef {
    $0.observer?.willAccess(
      x[Int(op.a)] &+ unsigned(op.imm) &+ (op.e & 2 != 0 ? x[Int(op.b)] &<< UInt64(op.d) : 0),
      size: Int(op.c), isStore: op.e & 1 != 0, on: $0)
  }
}

/// The block at `target`, where one way of `block` (or a computed jump) leads; linked if both lie
/// in one page, so that the link can't outlive the page's mapping.
///
/// - Returns: `nil` with the exception pending, or with nothing pending where the cache is full.
@inline(never)
private func follow(
  _ x: UnsafeMutablePointer<UInt64>, _ block: UnsafeMutablePointer<Block>?, _ falls: Bool,
  _ target: UInt64
) -> UnsafeMutablePointer<Block>? {
  Hart.of(x)._withUnsafeGuaranteedRef { hart in
    if hart.blocks.isFull { return nil }
    x[Slot.block] = 0
    guard let next = hart.find(target) else { return nil }
    if let block, (block.pointee.pc ^ target) & TLB.pageMask == 0,
      block.pointee.secondPA == Block.onePage, next.pointee.secondPA == Block.onePage,
      block.pointee.flags == next.pointee.flags
    {
      hart.blocks.chain(block, fall: falls, to: next)
    }
    return next
  }
}
