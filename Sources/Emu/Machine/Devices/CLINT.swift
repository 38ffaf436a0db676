import Engine

/// Timer and software interrupts of every hart: SiFive's CLINT, which ACLINT's MSWI and MTIMER
/// devices are compatible with.
///
/// | Offset | Register | Access |
/// |---|---|---|
/// | 0x0000 + 4 h | msip: bit 0 is MSIP of hart h, the rest is zero | 4, or 8 as two |
/// | 0x4000 + 8 h | mtimecmp of hart h | 4, 8 |
/// | 0xbff8 | mtime | 4, 8 |
///
/// Everything else, every other size and an access that is not aligned to its size reads zero and
/// ignores writes. MTIP of a hart is high exactly while `mtime >= mtimecmp` (unsigned). At reset
/// both are zero, so MTIP is high, as on QEMU.
///
/// - SeeAlso: RISC-V Advanced Core Local Interruptor Specification, "MTIMER Device" and "MSWI
///   Device"; SiFive U74 manual, "Core-Local Interruptor (CLINT)"; QEMU hw/intc/riscv_aclint.c.
public final class CLINT: Device {
  /// Most harts that the register map has room for.
  public static let maxHarts = 4095

  private unowned let clock: any BoardClock
  private unowned let sink: any InterruptSink
  private var timecmp: [UInt64]
  private var msip: [Bool]
  private var timerLevel: [Bool]
  /// `mtime` minus the machine's ticks, changed by writes to `mtime`.
  private var delta: UInt64 = 0

  /// A CLINT at reset.
  ///
  /// - Parameters:
  ///   - clock: the machine's time; it and the sink must outlive the CLINT.
  ///   - sink: where MSIP and MTIP go.
  ///   - hartCount: how many harts, 1 to ``maxHarts``.
  public init(clock: any BoardClock, sink: any InterruptSink, hartCount: Int) {
    let harts = min(max(hartCount, 1), Self.maxHarts)
    self.clock = clock
    self.sink = sink
    timecmp = Array(repeating: 0, count: harts)
    msip = Array(repeating: false, count: harts)
    timerLevel = Array(repeating: false, count: harts)
    update()
  }

  /// `mtime`, which the `time` CSR reads too.
  public var time: UInt64 { clock.ticks &+ delta }

  /// The machine's tick at which the next MTIP goes high that is low now.
  ///
  /// `nil` where none will.
  public var nextDeadline: UInt64? {
    let ticks = clock.ticks
    let now = ticks &+ delta
    var best: UInt64?
    for index in timecmp.indices where timecmp[index] > now {
      let (deadline, overflow) = ticks.addingReportingOverflow(timecmp[index] &- now)
      if !overflow { best = min(best ?? .max, deadline) }
    }
    return best
  }

  /// The machine's tick at which `time` reaches `value`, for `stimecmp` and SBI timers; not below
  /// now.
  ///
  /// `nil` where it never will.
  public func tick(ofTime value: UInt64) -> UInt64? {
    let ticks = clock.ticks
    let now = ticks &+ delta
    guard value > now else { return ticks }
    let (deadline, overflow) = ticks.addingReportingOverflow(value &- now)
    return overflow ? nil : deadline
  }

  /// Brings every MTIP to what `mtime` says.
  ///
  /// The machine calls it when ``nextDeadline`` is reached.
  public func update() {
    let now = time
    for index in timecmp.indices {
      let level = now >= timecmp[index]
      if level != timerLevel[index] {
        timerLevel[index] = level
        sink.setInterrupt(.machineTimer, level, hart: index)
      }
    }
  }

  /// Sets MSIP of a hart, for firmware.
  public func setSoftware(_ level: Bool, hart: Int) {
    guard msip.indices.contains(hart), msip[hart] != level else { return }
    msip[hart] = level
    sink.setInterrupt(.machineSoftware, level, hart: hart)
  }

  /// Reads a register.
  public func read(_ offset: UInt64, size: Int) -> UInt64 {
    guard size == 4 || size == 8, offset & UInt64(size &- 1) == 0 else { return 0 }
    switch offset {
    case 0..<0x4000:
      let hart = Int(offset >> 2)
      let low: UInt64 = msip.indices.contains(hart) && msip[hart] ? 1 : 0
      if size == 4 { return low }
      return low | (msip.indices.contains(hart &+ 1) && msip[hart &+ 1] ? 1 << 32 : 0)
    case 0x4000..<0xbff8:
      let hart = Int((offset &- 0x4000) >> 3)
      guard timecmp.indices.contains(hart) else { return 0 }
      return registerBytes(timecmp[hart], offset, size)
    case 0xbff8, 0xbffc:
      return registerBytes(time, offset, size)
    default:
      return 0
    }
  }

  /// Writes a register.
  public func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    guard size == 4 || size == 8, offset & UInt64(size &- 1) == 0 else { return }
    switch offset {
    case 0..<0x4000:
      let hart = Int(offset >> 2)
      setSoftware(value & 1 != 0, hart: hart)
      if size == 8 { setSoftware(value >> 32 & 1 != 0, hart: hart &+ 1) }
    case 0x4000..<0xbff8:
      let hart = Int((offset &- 0x4000) >> 3)
      guard timecmp.indices.contains(hart) else { return }
      timecmp[hart] = merge(timecmp[hart], offset, size, value)
      update()
    case 0xbff8, 0xbffc:
      delta = merge(time, offset, size, value) &- clock.ticks
      update()
    default:
      break
    }
  }

  private func merge(_ old: UInt64, _ offset: UInt64, _ size: Int, _ value: UInt64) -> UInt64 {
    if size == 8 { return value }
    let low = value & 0xffff_ffff
    return offset & 4 == 0 ? old & ~0xffff_ffff | low : old & 0xffff_ffff | low << 32
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    let hartCount = timecmp.count
    archive("timecmp", &timecmp)
    archive("msip", &msip)
    archive("timerLevel", &timerLevel)
    archive("delta", &delta)
    archive.transient(["clock", "sink"])
    if archive.isReading,
      timecmp.count != hartCount || msip.count != hartCount || timerLevel.count != hartCount
    {
      archive.fail("timers of \(timecmp.count) harts")
    }
  }
}
