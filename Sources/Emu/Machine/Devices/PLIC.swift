import Engine

/// The platform-level interrupt controller, with an M and an S context for every hart.
///
/// | Offset | Register | Reset | Writable |
/// |---|---|---|---|
/// | 0x00_0000 + 4 s | priority of source s | 0 | bits 2…0; of source 0, none |
/// | 0x00_1000 + 4 w | pending, sources 32 w … 32 w + 31 | 0 | none |
/// | 0x00_2000 + 0x80 c + 4 w | enable of context c, likewise | 0 | all but source 0 |
/// | 0x20_0000 + 0x1000 c | threshold of context c | 0 | bits 2…0 |
/// | 0x20_0004 + 0x1000 c | read: claim; write: complete | 0 | |
///
/// Context 2 h is hart h in M-mode, 2 h + 1 in S-mode. Sources are 1…95. Registers are 4 bytes and
/// answer only aligned accesses of 4 bytes; everything else reads zero and ignores writes. A
/// context's line is high while a source is pending, enabled there, and of a priority above the
/// threshold. Of equal priorities the lowest source is claimed first.
///
/// A device that sets its wire high makes a request, which stays pending until it is claimed though
/// the wire may go low. It makes another each time that it sets the wire again, high before or not;
/// one that comes during service is pending at once and taken after completion.
///
/// Deviation: the specification's level-triggered gateway asks again after completion while the wire
/// is high, and not before. QEMU's `virt` waits for the device to set the wire again, and kernels
/// depend on it: a driver that never reads the UART's IIR (xv6) would be interrupted for ever. The
/// board promises that what runs there runs here, so it does as QEMU does. Deviations from QEMU: the
/// completion of a source that is not enabled for the context is ignored, as the specification says,
/// and a write to an enable register takes effect at once (QEMU 7.2 looks at it with the next event).
///
/// - SeeAlso: RISC-V Platform-Level Interrupt Controller Specification, "Memory Map", "Interrupt
///   Gateways", "Interrupt Claim Process" and "Interrupt Completion"; QEMU hw/intc/sifive_plic.c.
public final class PLIC: Device, InterruptController {
  /// Sources, the absent source 0 included.
  public static let sourceCount = 96
  /// The highest priority and threshold.
  public static let maxPriority: UInt32 = 7
  /// Most harts that the register map has room for.
  public static let maxHarts = 512

  private static let words = sourceCount / 32

  private unowned let sink: any InterruptSink
  private let contexts: Int
  private var priority: [UInt32]
  private var pending: [UInt32]
  private var inFlight: [UInt32]
  private var enable: [UInt32]
  private var threshold: [UInt32]
  private var line: [Bool]

  /// A PLIC at reset.
  ///
  /// - Parameters:
  ///   - sink: where MEIP and SEIP go; it must outlive the PLIC.
  ///   - hartCount: how many harts, 1 to ``maxHarts``.
  public init(sink: any InterruptSink, hartCount: Int) {
    self.sink = sink
    contexts = 2 * min(max(hartCount, 1), Self.maxHarts)
    priority = Array(repeating: 0, count: Self.sourceCount)
    pending = Array(repeating: 0, count: Self.words)
    inFlight = pending
    enable = Array(repeating: 0, count: contexts * Self.words)
    threshold = Array(repeating: 0, count: contexts)
    line = Array(repeating: false, count: contexts)
  }

  /// Sets the level of a wire.
  public func setLevel(_ source: Int, _ high: Bool) {
    guard source > 0, source < Self.sourceCount else { return }
    let word = source >> 5
    let bit: UInt32 = 1 &<< UInt32(source & 31)
    guard high else { return }
    pending[word] |= bit
    update()
  }

  /// The source that a claim by the context would get, or 0.
  private func best(_ context: Int) -> Int {
    var best = 0
    var highest = threshold[context]
    for word in 0..<Self.words {
      var ready = pending[word] & ~inFlight[word] & enable[context * Self.words + word]
      while ready != 0 {
        let source = word * 32 + ready.trailingZeroBitCount
        ready &= ready &- 1
        if priority[source] > highest {
          highest = priority[source]
          best = source
        }
      }
    }
    return best
  }

  private func update() {
    for context in 0..<contexts {
      let high = best(context) != 0
      if high != line[context] {
        line[context] = high
        sink.setInterrupt(
          context & 1 == 0 ? .machineExternal : .supervisorExternal, high, hart: context >> 1)
      }
    }
  }

  private func claim(_ context: Int) -> UInt32 {
    let source = best(context)
    if source != 0 {
      let bit: UInt32 = 1 &<< UInt32(source & 31)
      pending[source >> 5] &= ~bit
      inFlight[source >> 5] |= bit
      update()
    }
    return UInt32(source)
  }

  private func complete(_ context: Int, _ source: UInt32) {
    guard source < Self.sourceCount else { return }
    let word = Int(source >> 5)
    let bit: UInt32 = 1 &<< (source & 31)
    guard enable[context * Self.words + word] & bit != 0, inFlight[word] & bit != 0 else { return }
    inFlight[word] &= ~bit
    update()
  }

  /// Which register an offset names.
  private enum Register {
    case priority(Int)
    case pending(Int)
    case enable(Int)
    case threshold(Int)
    case claim(Int)
  }

  private func register(_ offset: UInt64, _ size: Int) -> Register? {
    guard size == 4, offset & 3 == 0 else { return nil }
    switch offset {
    case 0..<0x1000:
      let source = Int(offset >> 2)
      return source > 0 && source < Self.sourceCount ? .priority(source) : nil
    case 0x1000..<0x2000:
      let word = Int((offset &- 0x1000) >> 2)
      return word < Self.words ? .pending(word) : nil
    case 0x2000..<0x20_0000:
      let context = Int((offset &- 0x2000) >> 7)
      let word = Int(offset & 0x7f) >> 2
      return context < contexts && word < Self.words ? .enable(context * Self.words + word) : nil
    case 0x20_0000..<0x60_0000:
      let context = Int((offset &- 0x20_0000) >> 12)
      guard context < contexts else { return nil }
      switch offset & 0xfff {
      case 0: return .threshold(context)
      case 4: return .claim(context)
      default: return nil
      }
    default: return nil
    }
  }

  /// Reads a register.
  public func read(_ offset: UInt64, size: Int) -> UInt64 {
    switch register(offset, size) {
    case .priority(let source): UInt64(priority[source])
    case .pending(let word): UInt64(pending[word])
    case .enable(let index): UInt64(enable[index])
    case .threshold(let context): UInt64(threshold[context])
    case .claim(let context): UInt64(claim(context))
    case nil: 0
    }
  }

  /// Writes a register.
  public func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    let value = UInt32(truncatingIfNeeded: value)
    switch register(offset, size) {
    case .priority(let source):
      priority[source] = value & Self.maxPriority
      update()
    case .enable(let index):
      enable[index] = index % Self.words == 0 ? value & ~1 : value
      update()
    case .threshold(let context):
      threshold[context] = value & Self.maxPriority
      update()
    case .claim(let context): complete(context, value)
    case .pending, nil: break
    }
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    let sizes = [priority.count, pending.count, inFlight.count, enable.count, threshold.count]
    archive.numbers("priority", &priority)
    archive.numbers("pending", &pending)
    archive.numbers("inFlight", &inFlight)
    archive.numbers("enable", &enable)
    archive.numbers("threshold", &threshold)
    archive("line", &line)
    archive.transient(["sink", "contexts"])
    guard archive.isReading else { return }
    let read = [priority.count, pending.count, inFlight.count, enable.count, threshold.count]
    if read != sizes || line.count != contexts {
      archive.fail("an interrupt controller of another size")
    }
  }
}
