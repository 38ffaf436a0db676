import Engine

// What the devices of a board ask of the machine around them, and where they lie.

/// Machine time.
///
/// It never runs backwards and moves only with retired instructions or skipped idle time.
public protocol BoardClock: AnyObject {
  /// Ticks since reset. One tick is one instruction and counts as one nanosecond.
  var ticks: UInt64 { get }
}

/// An interrupt line of a hart.
///
/// The raw value is the bit in `mip`.
///
/// - SeeAlso: The RISC-V Instruction Set Manual, Volume II, "Machine Interrupt (mip and mie)
///   Registers".
public enum RISCVInterruptLine: UInt8, Sendable, CaseIterable {
  /// SSIP.
  case supervisorSoftware = 1
  /// MSIP.
  case machineSoftware = 3
  /// STIP.
  case supervisorTimer = 5
  /// MTIP.
  case machineTimer = 7
  /// SEIP.
  case supervisorExternal = 9
  /// MEIP.
  case machineExternal = 11
}

/// Where the interrupt controllers of a board end: the harts.
public protocol InterruptSink: AnyObject {
  /// Sets the level of a line of a hart. Called only when the level changes.
  func setInterrupt(_ line: RISCVInterruptLine, _ level: Bool, hart: Int)
}

/// An interrupt controller that devices are wired to.
public protocol InterruptController: AnyObject {
  /// Sets the level of the wire of a source. A source that does not exist is ignored.
  func setLevel(_ source: Int, _ level: Bool)
}

/// The wire from one device to an interrupt controller.
public struct InterruptWire {
  private weak var controller: (any InterruptController)?
  private let source: Int

  /// A wire to a source of a controller; with `nil`, a wire that ends nowhere.
  public init(_ controller: (any InterruptController)?, source: Int) {
    self.controller = controller
    self.source = source
  }

  /// A wire that ends nowhere.
  public static var unconnected: InterruptWire { InterruptWire(nil, source: 0) }

  /// Sets the level.
  public func set(_ level: Bool) { controller?.setLevel(source, level) }
}

/// Takes what the guest prints.
public protocol ConsoleSink: AnyObject {
  /// Takes bytes, all of them.
  func write(_ bytes: [UInt8])
}

/// Gives what is typed to the guest.
///
/// What arrives when is a choice of the machine, not of devices.
public protocol ConsoleSource: AnyObject {
  /// The next byte, or `nil` where none has arrived. Never waits.
  func next() -> UInt8?
}

/// Gives the bytes of a random-number device.
///
/// What they are is a choice of the machine.
public protocol EntropySource: AnyObject {
  /// `count` bytes.
  func bytes(_ count: Int) -> [UInt8]
}

/// Where the devices lie: as on QEMU's `virt` board.
///
/// | Device | Base | Size | Source |
/// |---|---|---|---|
/// | test finisher | 0x0010_0000 | 0x1000 | |
/// | goldfish RTC | 0x0010_1000 | 0x1000 | 11 |
/// | CLINT | 0x0200_0000 | 0x10000 | |
/// | PLIC | 0x0c00_0000 | 0x60_0000 | |
/// | UART | 0x1000_0000 | 8 (0x100 in the tree) | 10 |
/// | virtio-mmio 0…7 | 0x1000_1000 + 0x1000 i | 0x1000 (0x200 in use) | 1 + i |
/// | RAM | 0x8000_0000 | | |
///
/// - SeeAlso: QEMU, "'virt' Generic Virtual Platform (virt)"; hw/riscv/virt.c, `virt_memmap`.
public enum BoardMap {
  /// A range of physical addresses.
  public struct Range: Sendable, Equatable {
    /// The first address.
    public let base: UInt64
    /// Size in bytes.
    public let size: UInt64
  }

  /// The test finisher.
  public static let finisher = Range(base: 0x10_0000, size: 0x1000)
  /// The goldfish RTC.
  public static let rtc = Range(base: 0x10_1000, size: 0x1000)
  /// The CLINT.
  public static let clint = Range(base: 0x200_0000, size: 0x1_0000)
  /// The PLIC.
  public static let plic = Range(base: 0xc00_0000, size: 0x60_0000)
  /// The UART as it decodes.
  public static let uart = Range(base: 0x1000_0000, size: 8)
  /// The UART as the device tree states it.
  public static let uartSizeInTree: UInt64 = 0x100
  /// RAM starts here.
  public static let ramBase: UInt64 = 0x8000_0000
  /// Where QEMU puts an S-mode payload: behind the firmware.
  public static let supervisorEntry: UInt64 = 0x8020_0000

  /// How many virtio-mmio transports there are.
  public static let virtIOCount = 8
  /// A virtio-mmio transport.
  ///
  /// `index` below ``virtIOCount``.
  public static func virtIO(_ index: Int) -> Range {
    Range(base: 0x1000_1000 &+ 0x1000 &* UInt64(index), size: 0x1000)
  }

  /// PLIC source of the UART.
  public static let uartSource = 10
  /// PLIC source of the RTC.
  public static let rtcSource = 11
  /// PLIC source of a virtio-mmio transport.
  public static func virtIOSource(_ index: Int) -> Int { 1 + index }
}

/// Part of a register: the bytes that an access of `size` at `offset` inside an 8-byte register
/// reads.
@inline(__always)
func registerBytes(_ value: UInt64, _ offset: UInt64, _ size: Int) -> UInt64 {
  let shifted = value &>> ((offset & 7) &* 8)
  return size >= 8 ? shifted : shifted & (1 &<< UInt64(size &* 8) &- 1)
}
