import Engine

/// A 16550A UART on an infinitely fast line.
///
/// | Offset | DLAB | Read | Write |
/// |---|---|---|---|
/// | 0 | 0 | RBR: next received byte | THR: byte to send |
/// | 0 | 1 | DLL: divisor, low byte | DLL |
/// | 1 | 0 | IER: bits 3…0 | IER |
/// | 1 | 1 | DLM: divisor, high byte | DLM |
/// | 2 | | IIR: cause of the interrupt, bits 7…6 set with FIFOs | FCR |
/// | 3 | | LCR | LCR |
/// | 4 | | MCR: bits 4…0 | MCR |
/// | 5 | | LSR | ignored |
/// | 6 | | MSR | ignored |
/// | 7 | | SCR | SCR |
///
/// Registers are one byte at stride one. A wider access reaches the register at its own offset only.
///
/// Causes in IIR, most urgent first: 6 line status (IER bit 2), 4 received data at the trigger level
/// or C received data below it with the line idle (bit 0), 2 transmitter empty (bit 1), 0 modem
/// status (bit 3), 1 none.
///
/// A sent byte leaves at once, so THRE and TEMT are always seen set. As on QEMU, turning on the
/// transmitter interrupt raises it while THRE is set.
///
/// Deviation from QEMU: the receive timeout (cause C) has no delay, because a character takes no
/// time here.
///
/// - SeeAlso: National Semiconductor PC16550D data sheet, "Registers" and "FIFO Interrupt Mode
///   Operation"; QEMU hw/char/serial.c.
public final class UART16550: Device {
  private static let fifoSize = 16

  // LSR.
  private static let dataReady: UInt8 = 0x01
  private static let overrun: UInt8 = 0x02
  private static let lineErrors: UInt8 = 0x1e
  private static let transmitterEmpty: UInt8 = 0x60
  // MCR.
  private static let loopback: UInt8 = 0x10

  private let wire: InterruptWire
  private let sink: (any ConsoleSink)?
  private let source: (any ConsoleSource)?

  private var fifo: [UInt8] = []
  private var received: UInt8 = 0
  private var divisor: UInt16 = 12
  private var ier: UInt8 = 0
  private var fcr: UInt8 = 0
  private var lcr: UInt8 = 0
  private var mcr: UInt8 = 0x08
  private var lsr: UInt8 = transmitterEmpty
  private var msr: UInt8 = 0xb0
  private var scr: UInt8 = 0
  private var transmitPending = false
  private var cause: UInt8 = 1

  /// A UART at reset.
  ///
  /// - Parameters:
  ///   - wire: its interrupt.
  ///   - sink: where sent bytes go.
  ///   - source: where received bytes come from.
  public init(wire: InterruptWire, sink: (any ConsoleSink)?, source: (any ConsoleSource)?) {
    self.wire = wire
    self.sink = sink
    self.source = source
  }

  private var usesFIFO: Bool { fcr & 1 != 0 }
  private var hasRoom: Bool {
    usesFIFO ? fifo.count < Self.fifoSize : lsr & Self.dataReady == 0
  }
  private var trigger: Int {
    switch fcr >> 6 {
    case 0: 1
    case 1: 4
    case 2: 8
    default: 14
    }
  }

  /// Takes what has arrived on the line.
  ///
  /// The machine calls it now and then, and before it gives up on a guest that waits.
  public func poll() {
    guard let source, mcr & Self.loopback == 0 else { return }
    var any = false
    while hasRoom, let byte = source.next() {
      accept(byte)
      any = true
    }
    if any { update() }
  }

  private func accept(_ byte: UInt8) {
    if usesFIFO {
      if fifo.count < Self.fifoSize { fifo.append(byte) } else { lsr |= Self.overrun }
    } else {
      if lsr & Self.dataReady != 0 { lsr |= Self.overrun }
      received = byte
    }
    lsr |= Self.dataReady
  }

  private func update() {
    if ier & 4 != 0, lsr & Self.lineErrors != 0 {
      cause = 6
    } else if ier & 1 != 0, lsr & Self.dataReady != 0 {
      cause = !usesFIFO || fifo.count >= trigger ? 4 : 0xc
    } else if ier & 2 != 0, transmitPending {
      cause = 2
    } else if ier & 8 != 0, msr & 0x0f != 0 {
      cause = 0
    } else {
      cause = 1
    }
    wire.set(cause != 1)
  }

  /// Reads a register.
  public func read(_ offset: UInt64, size: Int) -> UInt64 { UInt64(readRegister(offset)) }

  private func readRegister(_ offset: UInt64) -> UInt8 {
    guard offset < 8 else { return 0 }
    switch (offset, lcr & 0x80 != 0) {
    case (0, true): return UInt8(truncatingIfNeeded: divisor)
    case (0, false): return readData()
    case (1, true): return UInt8(truncatingIfNeeded: divisor >> 8)
    case (1, false): return ier
    case (2, _):
      let value = cause | (usesFIFO ? 0xc0 : 0)
      if cause == 2 {
        transmitPending = false
        update()
      }
      return value
    case (3, _): return lcr
    case (4, _): return mcr
    case (5, _):
      let value = lsr
      if lsr & 0x12 != 0 {
        lsr &= ~0x12
        update()
      }
      return value
    case (6, _):
      if mcr & Self.loopback != 0 {
        return (mcr & 0x0c) << 4 | (mcr & 2) << 3 | (mcr & 1) << 5
      }
      let value = msr
      msr &= 0xf0
      update()
      return value
    default: return scr
    }
  }

  private func readData() -> UInt8 {
    var byte = received
    if usesFIFO {
      byte = fifo.isEmpty ? 0 : fifo.removeFirst()
      if fifo.isEmpty { lsr &= ~0x11 }
    } else {
      lsr &= ~0x11
    }
    update()
    poll()
    return byte
  }

  /// Writes a register.
  public func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    writeRegister(offset, UInt8(truncatingIfNeeded: value))
  }

  private func writeRegister(_ offset: UInt64, _ byte: UInt8) {
    switch (offset, lcr & 0x80 != 0) {
    case (0, true): divisor = divisor & 0xff00 | UInt16(byte)
    case (0, false): send(byte)
    case (1, true): divisor = divisor & 0x00ff | UInt16(byte) << 8
    case (1, false):
      let changed = ier ^ byte
      ier = byte & 0x0f
      if changed & 2 != 0 { transmitPending = ier & 2 != 0 }
      update()
    case (2, _): writeFIFOControl(byte)
    case (3, _): lcr = byte
    case (4, _):
      mcr = byte & 0x1f
      poll()
    case (7, _): scr = byte
    default: break
    }
  }

  private func send(_ byte: UInt8) {
    transmitPending = false
    update()
    if mcr & Self.loopback != 0 { accept(byte) } else { sink?.write([byte]) }
    transmitPending = true
    update()
  }

  private func writeFIFOControl(_ byte: UInt8) {
    var byte = byte
    if (byte ^ fcr) & 1 != 0 { byte |= 6 }
    if byte & 2 != 0 {
      lsr &= ~0x11
      fifo.removeAll(keepingCapacity: true)
    }
    if byte & 4 != 0 { transmitPending = true }
    fcr = byte & 0xc9
    update()
    poll()
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    archive("fifo", &fifo)
    archive("received", &received)
    archive("divisor", &divisor)
    archive("ier", &ier)
    archive("fcr", &fcr)
    archive("lcr", &lcr)
    archive("mcr", &mcr)
    archive("lsr", &lsr)
    archive("msr", &msr)
    archive("scr", &scr)
    archive("transmitPending", &transmitPending)
    archive("cause", &cause)
    archive.transient(["wire", "sink", "source"])
  }
}
