import ArgumentParser
import Engine
import Foundation
import X86

/// Random bytes as kernels and programs: in protected mode with and without paging and in long mode,
/// with random tables, breakpoints and permissions; what comes of it is the same in both engines.
struct X86SystemFuzz {
  let seed: UInt64
  let seconds: Double

  private static let size: UInt64 = 1 << 20
  private static let gdt: UInt64 = 0x1000, idt: UInt64 = 0x2000, tss: UInt64 = 0x4000
  private static let tables: UInt64 = 0x8000, code: UInt64 = 0x10000

  func run() throws {
    let began = Date()
    var machines: UInt64 = 0
    var insns: UInt64 = 0
    var shutDown: UInt64 = 0
    while Date().timeIntervalSince(began) < seconds {
      let number = seed &* 0x1_0000_0001 &+ machines
      let first = try outcome(number, .interpreter)
      let second = try outcome(number, .jit)
      guard first == second else {
        let slots = first.slots.indices.filter { first.slots[$0] != second.slots[$0] }
        let bytes = first.memory.indices.filter { first.memory[$0] != second.memory[$0] }
        throw ToolError(
          description: "x86 --fuzz: machine \(number) differs between the engines: slots \(slots), "
            + "bytes \(bytes.prefix(8)); x86 --machine \(number) tells where", status: 1)
      }
      insns += first.count
      if first.isShutDown { shutDown += 1 }
      machines += 1
    }
    print("\(machines) machines, \(insns) instructions in each engine; \(shutDown) shut down")
  }

  private struct Outcome: Equatable {
    var count: UInt64
    var isShutDown: Bool
    var slots: [UInt64]
    var memory: [UInt8]
    var refusal: String?

    var described: String {
      slots.enumerated().filter { $0.element != 0 }
        .map { "\($0.offset)=\(String($0.element, radix: 16))" }.joined(separator: " ")
    }
  }

  /// Tells after how many instructions a machine first differs between the engines, and where they stand.
  func one(_ number: UInt64) throws {
    func differs(_ limit: UInt64) throws -> Bool {
      try outcome(number, .interpreter, limit: limit) != outcome(number, .jit, limit: limit)
    }
    guard try differs(.max) else { return print("no difference") }
    var (same, different) = (UInt64(0), UInt64(2000))
    while different - same > 1 {
      let middle = (same + different) / 2
      if try differs(middle) { different = middle } else { same = middle }
    }
    for engine in [BackEnd.interpreter, .jit] {
      for limit in [same, different] {
        let end = try outcome(number, engine, limit: limit)
        print("\(engine) \(limit) \(end.refusal ?? ""): \(end.described)")
      }
    }
    throw ExitCode(1)
  }

  /// What comes of a machine, which ends early after `limit` instructions.
  private func outcome(
    _ number: UInt64, _ engine: BackEnd, limit: UInt64 = .max
  ) throws -> Outcome {
    guard let ram = PhysicalMemory(base: 0, size: Self.size) else {
      throw ToolError(description: "no memory", status: 2)
    }
    var rng = SplitMix(seed: number)
    let isa = X64()
    var options = JITOptions()
    options.threshold = 1
    options.codeBytes = 1 << 20
    let hart = Hart(
      index: 0, bus: Bus(ram: ram), isa: isa,
      cacheModel: rng.once(in: 4) ? .architectural : .coherent, tlbCount: X64.tlbCount,
      engine: engine, jit: options)
    fill(ram, &rng)
    let isLong = rng.once(in: 2)
    putTables(ram, &rng, isLong: isLong)
    let pc = Self.code + rng.next() % 0x4000
    if isLong {
      isa.enterKernel(hart, pc: pc, root: Self.tables)
    } else {
      isa.enterProtected(hart, pc: pc)
    }
    isa.fuzz(
      hart, gdt: (Self.gdt, 127), idt: (Self.idt, isLong ? 4095 : 2047), task: (Self.tss, 0x67),
      root: Self.tables, pages: isLong || rng.once(in: 2), &rng)
    if !isLong {
      if rng.once(in: 2) { putTasks(ram, &rng) }
      let isReal = rng.once(in: 3)
      if isReal { putRealTable(ram, &rng) }
      if isReal || rng.once(in: 2) {
        isa.fuzzSegments(hart, isReal: isReal, code: Self.code, &rng)
      } else if rng.once(in: 2) {
        isa.fuzzVirtual(hart, code: Self.code, &rng)
      }
    }
    for register in 0..<16 where isLong || register < 8 {
      let value = rng.once(in: 3) ? rng.next() : Self.code + rng.next() % 0x20000
      hart.x[Registers.gpr + register] = isLong ? value : value & 0xffff_ffff
    }
    isa.random = { count in (0..<count).map { _ in UInt8(truncatingIfNeeded: rng.next()) } }
    for _ in 0..<20 {
      let end = hart.count + 100
      guard hart.run(until: min(end, limit)) != .requested, hart.count < limit else { break }
      if rng.once(in: 4) { isa.interrupt(32 + rng.next() % 224, hart) }
      if rng.once(in: 16) { isa.interruptNonMaskably(hart) }
    }
    // Status flags are told together: each engine keeps them as it likes.
    let slots =
      Array(0..<Slot.temp) + Array(Slot.pc...Slot.pc) + Array(Slot.isa..<Slot.pending)
      + [Slot.count, Slot.exceptions] + Array(Slot.system..<Slot.total)
    return Outcome(
      count: hart.count, isShutDown: isa.isShutDown(hart),
      slots: slots.map { hart.x[$0] } + [RFlags.read(hart.x)],
      memory: ram.bytes(0, Int(Self.size)) ?? [], refusal: isa.refusal(hart))
  }

  private func fill(_ ram: PhysicalMemory, _ rng: inout SplitMix) {
    let rows = Encodings.allRows
    var bytes: [UInt8] = []
    while bytes.count < 0x4000 {
      if rng.once(in: 2) {
        bytes += rows[rng.below(rows.count)].sample(using: &rng)
      } else {
        bytes += (0..<4).map { _ in UInt8(truncatingIfNeeded: rng.next()) }
      }
    }
    // The same again and again.
    for copy in UInt64(0)..<8 { ram.write(Self.code + copy * 0x4000, Array(bytes.prefix(0x4000))) }
  }

  /// The interrupt table of real mode.
  private func putRealTable(_ ram: PhysicalMemory, _ rng: inout SplitMix) {
    for vector in UInt64(0)..<256 {
      ram.store(
        Self.idt + vector * 4,
        UInt32(truncatingIfNeeded: (Self.code >> 4) << 16 | rng.next() & 0x7fff))
    }
  }

  /// Tasks of both sizes and gates to them and to code, mostly sound; some interrupts are for tasks.
  private func putTasks(_ ram: PhysicalMemory, _ rng: inout SplitMix) {
    let flags: [UInt64] = [0x2, 0x3202, 0x4002, 0x2_3002]
    for task in UInt64(0)..<4 {
      let place = Self.tss + 0x100 + task * 0x80
      for word in UInt64(0)..<26 { ram.store(place + word * 4, UInt32(Self.code + 0x20000)) }
      let isProgram = rng.once(in: 2)
      ram.store(place, UInt16(0x38))
      ram.store(place + 8, UInt32(0x18))
      ram.store(place + 0x1c, UInt32(Self.tables))
      ram.store(place + 0x20, UInt32(Self.code + rng.next() % 0x10000))
      ram.store(place + 0x24, UInt32(flags[Int(rng.next() & 3)]))
      for register in UInt64(0)..<6 {
        let selector: UInt32 = isProgram ? (register == 1 ? 0x23 : 0x2b) : register == 1 ? 8 : 0x18
        ram.store(place + 0x48 + register * 4, selector)
      }
      ram.store(place + 0x60, UInt32(0))
      ram.store(place + 0x64, UInt32(0x68_0000) | UInt32(rng.next() & 1))
      let kinds: [UInt64] = [0x89, 0xe9, 0x8b, 0x81]
      ram.store(
        Self.gdt + 0x50 + task * 8, kinds[Int(rng.next() & 3)] << 40 | place << 16 | 0x67)
    }
    for gate in UInt64(14)..<16 {
      let target = Self.code + rng.next() % 0x10000
      let kinds: [UInt64] = [0xec, 0xe4, 0xe5, 0x8c]
      let kind = kinds[Int(rng.next() & 3)]
      let selector: UInt64 = kind & 15 == 5 ? 0x50 + (rng.next() & 0x18) : 8
      ram.store(
        Self.gdt + gate * 8,
        target & 0xffff | selector << 16 | kind << 40 | (target >> 16 & 0xffff) << 48
          | (rng.next() & 31) << 32)
    }
    for _ in 0..<8 {
      ram.store(
        Self.idt + (rng.next() & 31) * 8,
        0xe5 << 40 | (0x50 + (rng.next() & 0x18)) << 16)
    }
  }

  /// Tables that are mostly sound.
  private func putTables(_ ram: PhysicalMemory, _ rng: inout SplitMix, isLong: Bool) {
    let descriptors: [UInt64] = [
      0, 0x00cf_9b00_0000_ffff, isLong ? 0x00af_9b00_0000_ffff : 0x00cf_9300_0000_ffff,
      0x00cf_9300_0000_ffff, 0x00cf_fb00_0000_ffff, 0x00cf_f300_0000_ffff,
      0x00af_fb00_0000_ffff, 0x0000_8900_4000_0067, 0, 0x00cf_9300_0000_ffff,
    ]
    for index in 0..<16 {
      let known = index < descriptors.count ? descriptors[index] : rng.next()
      ram.store(
        Self.gdt + UInt64(index) * 8, rng.once(in: 40) ? known ^ 1 << (rng.next() & 63) : known)
    }
    for vector in UInt64(0)..<256 {
      let target = Self.code + rng.next() % 0x10000
      let kinds: [UInt64] = [0x8e, 0x8f, 0xee, 0xee]
      var low = target & 0xffff | (isLong ? 0x10 : 8) << 16 | (target >> 16 & 0xffff) << 48
      low |= kinds[Int(rng.next() & 3)] << 40
      if isLong, rng.once(in: 4) { low |= (rng.next() & 7) << 32 }
      if rng.once(in: 64) { low ^= 1 << (rng.next() & 63) }
      ram.store(Self.idt + vector * (isLong ? 16 : 8), low)
    }
    for word in UInt64(0)..<13 {
      ram.store(Self.tss + word * 8 + 4, Self.code + 0x20000 + (rng.next() & 0xfff8))
    }
    if !isLong { ram.store(Self.tss + 8, UInt32(0x10)) }
    // Four levels, whose first two serve two levels of PAE too; pages where they lie.
    func page(_ va: UInt64) -> UInt64 {
      var bits: UInt64 = 3
      if rng.once(in: 2) { bits |= 4 }
      if va >= Self.code {
        if rng.once(in: 10) { bits &= ~2 }
        if rng.once(in: 20) { bits &= ~1 }
        if isLong, rng.once(in: 12) { bits |= 1 << 63 }
      }
      return va | bits
    }
    if isLong {
      for level in UInt64(0)..<3 {
        ram.store(Self.tables + level << 12, (Self.tables + (level + 1) << 12) | 7)
      }
      for index in UInt64(0)..<256 {
        ram.store(Self.tables + 3 << 12 + index * 8, page(index << 12))
      }
    } else {
      ram.store(Self.tables, UInt32(truncatingIfNeeded: (Self.tables + 0x1000) | 7))
      for index in UInt64(0)..<256 {
        ram.store(Self.tables + 0x1000 + index * 4, UInt32(truncatingIfNeeded: page(index << 12)))
      }
    }
  }
}
