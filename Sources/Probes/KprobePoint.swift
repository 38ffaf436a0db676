import Engine
import GuestKernel

/// One probed address of the kernel: all of its probes, and what is needed to get past its
/// instruction (an aggregate kprobe, whether it has one child or many).
final class KprobePoint {
  let address: UInt64
  /// Where the text is in RAM.
  let pa: UInt64
  let symbol: String
  let offset: UInt64
  let insn: ProbedInsn
  /// Its probes, the newest first.
  var probes: [Kprobe] = []
  var isArmed = false
  /// Address of its slot, where its instruction runs out of line.
  var slot: UInt64?
  var simulation: (any InsnSimulation)?

  init(
    address: UInt64, pa: UInt64, symbol: String, offset: UInt64, insn: ProbedInsn
  ) {
    self.address = address
    self.pa = pa
    self.symbol = symbol
    self.offset = offset
    self.insn = insn
  }

  /// The address behind the instruction.
  var next: UInt64 { address &+ UInt64(insn.length) }
}

/// The page in the image where displaced kernel instructions run.
///
/// Slots are given out again only once nothing can be in them any more.
struct KprobeSlots {
  let base: UInt64
  let size: UInt64
  private var free: [UInt64] = []
  /// Released while a slot was being run.
  private var retired: [UInt64] = []

  /// The image's slots but for the first, which is the return probes' trampoline.
  init(_ kernel: Kernel, slotSize: Int) {
    let start = kernel.symbol("kprobe_insn_slots") ?? 0
    let end = kernel.symbol("kprobe_insn_slots_end") ?? start
    base = start
    size = UInt64(slotSize)
    var slot = start &+ size
    while start != 0, slot &+ size <= end, end &- slot < 1 << 20 {
      free.append(slot)
      slot &+= size
    }
    free.reverse()
  }

  mutating func allocate() -> UInt64? { free.popLast() }

  mutating func release(_ slot: UInt64, inUse: Bool) {
    if inUse { retired.append(slot) } else { free.append(slot) }
  }

  /// Nothing runs in a slot now.
  mutating func reclaim() {
    guard !retired.isEmpty else { return }
    free += retired
    retired = []
  }
}
