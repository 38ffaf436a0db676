import Engine
import GuestKernel

/// One probed address of the kernel: all of its probes, and what is needed to get past its
/// instruction (an aggregate kprobe, whether it has one child or many).
final class KprobePoint: Archivable {
  @exclusivity(unchecked) private(set) var address: UInt64
  /// Where the text is in RAM.
  @exclusivity(unchecked) private(set) var pa: UInt64
  @exclusivity(unchecked) private(set) var symbol: String
  @exclusivity(unchecked) private(set) var offset: UInt64
  @exclusivity(unchecked) private(set) var insn: ProbedInsn
  /// Bytes of the instruction.
  @exclusivity(unchecked) private(set) var length: UInt64
  /// What a trap must know of it.
  @exclusivity(unchecked) private(set) var copied: CopiedInsn
  /// Its probes, the newest first.
  @exclusivity(unchecked) var probes: [Kprobe] = []
  @exclusivity(unchecked) var isArmed = false
  /// Address of its slot, where its instruction runs out of line.
  @exclusivity(unchecked) var slot: UInt64?
  @exclusivity(unchecked) var simulation: (any InsnSimulation)?
  /// Whether what is in the slot goes back by itself: no trap ends it, and no handler runs behind it.
  @exclusivity(unchecked) var isBoosted = false
  /// What it takes to be a jump, once that was prepared.
  @exclusivity(unchecked) var detour: KprobeDetour?
  /// That can't be prepared.
  var isNoDetour = false

  init(
    address: UInt64, pa: UInt64, symbol: String, offset: UInt64, insn: ProbedInsn
  ) {
    self.address = address
    self.pa = pa
    self.symbol = symbol
    self.offset = offset
    self.insn = insn
    length = UInt64(insn.length)
    copied = CopiedInsn(insn)
  }

  init(placeholderFor a: Archive) {
    (address, pa, symbol, offset, length) = (0, 0, "", 0, 0)
    insn = ProbedInsn(bytes: [], verdict: .outOfLine)
    copied = CopiedInsn(insn)
  }

  func archive(_ a: Archive) {
    a("address", &address)
    a("pa", &pa)
    a("symbol", &symbol)
    a("offset", &offset)
    a("insn", &insn)
    a.externals("probes", &probes)
    a("isArmed", &isArmed)
    a("slot", &slot)
    a("isBoosted", &isBoosted)
    a("detour", &detour)
    a("isNoDetour", &isNoDetour)
    // The table makes simulations ready.
    a.transient(["length", "copied", "simulation"])
    if a.isReading {
      length = UInt64(insn.length)
      copied = CopiedInsn(insn)
    }
  }

  /// Whether a handler is to run behind the instruction, or when it faults.
  var needsTrap: Bool { probes.contains { $0.post != nil || $0.fault != nil } }

  /// The text under what is in its place now.
  var displaced: [UInt8] {
    guard let detour, detour.isJump else { return isArmed ? insn.bytes : [] }
    return detour.original
  }

  /// The address behind the instruction.
  var next: UInt64 { address &+ length }
}

/// The pages in the image where displaced kernel instructions run: executable, never writable.
///
/// There is a slot for each instruction of the text. One is given out again only once nothing can be
/// in it any more.
///
/// Deviation: Linux maps a page of slots at a time and frees empty ones later (`kprobe_insn_slot`,
/// `collect_garbage_slots`); here the image has them all from the beginning.
struct KprobeSlots {
  /// The first slot, which is the return probes' trampoline.
  private(set) var base: UInt64
  private(set) var end: UInt64
  private(set) var size: UInt64
  /// The first slot that was never given out.
  private var fresh: UInt64
  private var free: [UInt64] = []
  /// Released while a slot was being run.
  private var retired: [UInt64] = []

  /// The slots of the first kind, which are never given out.
  private let reserved: UInt64

  /// The image's slots.
  init(_ kernel: Kernel, slotSize: Int) {
    self.init(kernel, "kprobe_insn_slots", slotSize: slotSize, reserved: 1)
  }

  /// The image's room for detours.
  init(detoursOf kernel: Kernel, _ isa: any ProbeISA) {
    self.init(kernel, "kprobe_optinsn_slots", slotSize: isa.detours?.detourSize ?? 1, reserved: 0)
  }

  private init(_ kernel: Kernel, _ name: String, slotSize: Int, reserved: UInt64) {
    base = kernel.symbol(name) ?? 0
    end = kernel.symbol(name + "_end") ?? base
    size = UInt64(slotSize)
    self.reserved = reserved &* size
    fresh = base &+ self.reserved
  }

  /// How many were given out and not taken back.
  var inUse: Int { Int((fresh &- base &- reserved) / size) - free.count - retired.count }

  /// Whether one was ever handed out.
  var isTouched: Bool { fresh != base &+ reserved }

  /// Whether an address is in one.
  func holds(_ va: UInt64) -> Bool { va >= base && va < end }

  mutating func allocate() -> UInt64? {
    if let slot = free.popLast() { return slot }
    guard base != 0, fresh < end, end &- fresh >= size else { return nil }
    defer { fresh &+= size }
    return fresh
  }

  mutating func release(_ slot: UInt64, inUse: Bool) {
    if inUse { retired.append(slot) } else { free.append(slot) }
  }

  /// Nothing runs in a slot now.
  mutating func reclaim() {
    guard !retired.isEmpty else { return }
    free += retired
    retired = []
  }

  /// What ``LegacyPolicies/writableSlots`` asks for.
  func makeWritable(_ kernel: Kernel) {
    let isa = kernel.isa
    for page in stride(from: base, to: end, by: 4096) {
      var table = kernel.kernelRoot
      for level in (0..<isa.pageTableLevels).reversed() {
        let entry = table &+ (page >> UInt64(12 + 9 * level) & 511) &* 8
        kernel.ram.willWrite(entry)
        let pointer = kernel.ram.pointer(entry).assumingMemoryBound(to: UInt64.self)
        switch isa.classify(pointer.pointee, level: level) {
        case .table(let next): table = next
        case .leaf(let pa, let protection, _, _):
          pointer.pointee = isa.leafEntry(
            pa, protection.union(.write), accessed: true, dirty: true)
        case .empty: break
        }
      }
    }
  }
}

extension KprobeSlots: Archived {
  static func placeholder(_ a: Archive) -> KprobeSlots {
    KprobeSlots(a.probedKernel, slotSize: 1)
  }
  mutating func archive(_ a: Archive) {
    a("fresh", &fresh)
    a("free", &free)
    a("retired", &retired)
    a.transient(["base", "end", "size", "reserved"])
    guard a.isReading else { return }
    let all = free + retired
    if !all.allSatisfy({ $0 >= base && $0 < end }) || base != 0 && !(base...end).contains(fresh) {
      a.fail("slots of kprobes outside their place")
    }
  }
}
