import Engine
import Foundation
import X86

/// Random bytes as programs, in pages of random permissions: whatever they do, they end.
struct X86Fuzz {
  let seed: UInt64
  let seconds: Double

  func run() throws {
    guard let ram = PhysicalMemory(base: 0, size: 1 << 20) else {
      throw ToolError(description: "no memory", status: 2)
    }
    let began = Date()
    var programs: UInt64 = 0
    var insns: UInt64 = 0
    var faults = [UInt64](repeating: 0, count: 32)
    while Date().timeIntervalSince(began) < seconds {
      var rng = SplitMix(seed: seed &* 0x1_0000_0001 &+ programs)
      let isa = X64(features: rng.once(in: 4) ? .withoutAVX : .all)
      let hart = Hart(
        index: 0, bus: Bus(ram: ram), isa: isa,
        cacheModel: rng.once(in: 4) ? .architectural : .coherent, tlbCount: X64.tlbCount)
      isa.reset(hart, pc: 0x10000)
      map(isa, ram, &rng)
      for register in 0..<16 {
        hart.x[Registers.gpr + register] =
          rng.once(in: 3) ? rng.next() : 0x10000 + rng.next() % 0x18000
      }
      for slot in Registers.vector..<(Registers.x87 + 16) { hart.x[slot] = rng.next() }
      if rng.once(in: 2) { hart.x[Registers.fpTag] = rng.next() & 0xffff }
      // A handler that goes on somewhere else.
      var left = 200
      isa.onException = { hart, exception in
        faults[Int(exception.vector & 31)] += 1
        left -= 1
        if left == 0 { return hart.requestStop() }
        hart.x[Slot.pc] = 0x10000 + rng.next() % 0x8000
        hart.x[Registers.fpStatus] &= ~0x80ff
        hart.x[Registers.mxcsr] = 0x1f80
        hart.x[Registers.gpr + Int(rng.next() & 15)] = 0x10000 + rng.next() % 0x18000
      }
      let before = hart.count
      _ = hart.run(until: before + 3000)
      insns += hart.count - before
      programs += 1
    }
    let kinds = faults.indices.filter { faults[$0] > 0 }.map { "\($0): \(faults[$0])" }
    print("\(programs) programs, \(insns) instructions; exceptions by vector: \(kinds)")
  }

  /// Eight pages or so of code, and data behind them.
  private func map(_ isa: X64, _ ram: PhysicalMemory, _ rng: inout SplitMix) {
    isa.regions = []
    let rows = Encodings.allRows
    for page in UInt64(0)..<24 {
      var protection: PageProtection = page < 8 ? .execute : []
      if !rng.once(in: 6) { protection.insert(.read) }
      if !rng.once(in: 3) { protection.insert(.write) }
      if rng.once(in: 12) { protection = [] }
      isa.regions.append(
        FlatRegion(
          va: 0x10000 + page * 4096, size: 4096, pa: page * 4096, protection: protection))
      var bytes: [UInt8] = []
      while bytes.count < 4096 {
        // Half of them instructions of rows, so that all of them are met.
        if rng.once(in: 2) {
          bytes += rows[rng.below(rows.count)].sample(using: &rng)
        } else {
          bytes += (0..<8).map { _ in UInt8(truncatingIfNeeded: rng.next()) }
        }
      }
      ram.write(page * 4096, Array(bytes.prefix(4096)))
    }
  }
}
