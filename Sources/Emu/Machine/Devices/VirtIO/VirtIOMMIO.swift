import Engine

/// A virtio-mmio transport, empty or with one device behind it.
///
/// | Offset | Register | Access | Version |
/// |---|---|---|---|
/// | 0x000 | MagicValue 0x74726976 | R | |
/// | 0x004 | Version: 1 legacy, 2 | R | |
/// | 0x008 | DeviceID: 0 where empty | R | |
/// | 0x00c | VendorID 0x554d4551 | R | |
/// | 0x010 / 0x014 | DeviceFeatures / DeviceFeaturesSel | R / W | |
/// | 0x020 / 0x024 | DriverFeatures / DriverFeaturesSel | W / W | |
/// | 0x028 | GuestPageSize | W | 1 |
/// | 0x030 | QueueSel | W | |
/// | 0x034 / 0x038 | QueueNumMax / QueueNum | R / W | |
/// | 0x03c | QueueAlign | W | 1 |
/// | 0x040 | QueuePFN: 0 resets the device | RW | 1 |
/// | 0x044 | QueueReady | RW | 2 |
/// | 0x050 | QueueNotify | W | |
/// | 0x060 / 0x064 | InterruptStatus / InterruptACK | R / W | |
/// | 0x070 | Status: 0 resets the device | RW | |
/// | 0x080 / 0x084 | QueueDescLow / High | W | 2 |
/// | 0x090 / 0x094 | QueueDriverLow / High | W | 2 |
/// | 0x0a0 / 0x0a4 | QueueDeviceLow / High | W | 2 |
/// | 0x0b0 / 0x0b4 | SHMLenLow / High: all ones, there is none | R | |
/// | 0x0fc | ConfigGeneration | R | 2 |
/// | 0x100… | configuration space of the device | RW | |
///
/// Registers below 0x100 answer accesses of 4 bytes, and of 8 as two of 4; of an empty transport
/// they answer every size. Everything else reads zero and ignores writes.
///
/// A broken queue stops the device until it is reset: DEVICE_NEEDS_RESET where version 1 was
/// negotiated, silence where not.
///
/// Deviation from QEMU: a driver that accepts a feature that was not offered does not get
/// FEATURES_OK, as the specification asks (QEMU masks the feature); and a configuration change sets
/// bit 1 of InterruptStatus only.
///
/// - SeeAlso: Virtual I/O Device (VIRTIO) Version 1.2, "Virtio Over MMIO", with "Legacy interface";
///   QEMU hw/virtio/virtio-mmio.c.
public final class VirtIOMMIO: Device, VirtIOHost {
  /// Which register layout the transport has.
  public enum Version: UInt32, Sendable {
    /// Version 0.9, QEMU's default (`virtio-mmio.force-legacy=true`).
    case legacy = 1
    /// Version 1 and later (`force-legacy=false`).
    case modern = 2
  }

  private static let magic: UInt32 = 0x7472_6976
  private static let vendor: UInt32 = 0x554d_4551
  private static let featuresOK: UInt8 = 8
  private static let needsReset: UInt8 = 64

  /// The device behind the transport.
  public let device: (any VirtIODevice)?
  /// Which register layout it has.
  public let version: Version
  /// Why the device has given up, until it is reset.
  public private(set) var brokenReason: String?

  private let ram: PhysicalMemory
  private let wire: InterruptWire
  private var queues: [Queue]
  private var deviceFeaturesSel = 0
  private var driverFeaturesSel = 0
  private var driverFeatures: UInt64 = 0
  private var negotiated: VirtFeatures = []
  private var pageShift: UInt64 = 0
  private var selected = 0
  private var status: UInt8 = 0
  private var interruptStatus: UInt32 = 0
  private var generation: UInt32 = 0
  private var serving = false

  /// A queue with what the driver wrote about it.
  fileprivate struct Queue {
    var queue = VirtQueue()
    var size: UInt32 = 256
    var align: UInt64 = 4096
    var frame: UInt64 = 0
    var descriptors: UInt64 = 0
    var available: UInt64 = 0
    var used: UInt64 = 0
  }

  /// A transport.
  ///
  /// - Parameters:
  ///   - version: its register layout.
  ///   - device: what is behind it, or `nil`.
  ///   - ram: where the queues are.
  ///   - wire: its interrupt.
  public init(
    version: Version, device: (any VirtIODevice)?, ram: PhysicalMemory, wire: InterruptWire
  ) {
    self.version = version
    self.device = device
    self.ram = ram
    self.wire = wire
    queues = Array(repeating: Queue(), count: max(device?.queueCount ?? 0, 0))
  }

  private var offered: VirtFeatures {
    guard let device else { return [] }
    let common: VirtFeatures =
      version == .legacy
      ? [.notifyOnEmpty, .anyLayout, .indirectDescriptors, .eventIndex]
      : [.version1, .indirectDescriptors, .eventIndex]
    return device.features.union(common)
  }

  /// Lets the device take what has arrived for it.
  public func poll() {
    if brokenReason == nil { device?.poll(self) }
  }

  // MARK: Registers

  /// Reads a register.
  public func read(_ offset: UInt64, size: Int) -> UInt64 {
    guard let device else {
      let high = size == 8 ? UInt64(readEmpty(offset &+ 4)) << 32 : 0
      return registerBytes(UInt64(readEmpty(offset)) | high, 0, size)
    }
    if offset >= 0x100 { return readConfig(device, offset &- 0x100, size) }
    guard offset & 3 == 0 else { return 0 }
    switch size {
    case 4: return UInt64(readRegister(device, offset))
    case 8: return UInt64(readRegister(device, offset)) | read(offset &+ 4, size: 4) << 32
    default: return 0
    }
  }

  private func readEmpty(_ offset: UInt64) -> UInt32 {
    switch offset {
    case 0x000: Self.magic
    case 0x004: version.rawValue
    case 0x00c: Self.vendor
    default: 0
    }
  }

  private func readConfig(_ device: any VirtIODevice, _ offset: UInt64, _ size: Int) -> UInt64 {
    let config = device.config
    guard offset < UInt64(config.count) else { return 0 }
    var value: UInt64 = 0
    for index in 0..<min(size, 8) {
      let at = Int(offset) + index
      if at < config.count { value |= UInt64(config[at]) << UInt64(8 * index) }
    }
    return value
  }

  private func readRegister(_ device: any VirtIODevice, _ offset: UInt64) -> UInt32 {
    let legacy = version == .legacy
    switch offset {
    case 0x000: return Self.magic
    case 0x004: return version.rawValue
    case 0x008: return device.deviceID
    case 0x00c: return Self.vendor
    case 0x010:
      if deviceFeaturesSel == 0 { return UInt32(truncatingIfNeeded: offered.rawValue) }
      return legacy ? 0 : UInt32(truncatingIfNeeded: offered.rawValue >> 32)
    case 0x034: return queues.indices.contains(selected) ? VirtQueue.maxSize : 0
    case 0x040:
      guard legacy, queues.indices.contains(selected) else { return 0 }
      return UInt32(truncatingIfNeeded: queues[selected].frame >> pageShift)
    case 0x044:
      guard !legacy, queues.indices.contains(selected) else { return 0 }
      return queues[selected].queue.isReady ? 1 : 0
    case 0x060: return interruptStatus
    case 0x070: return UInt32(status)
    case 0x0b0, 0x0b4: return .max
    case 0x0fc: return legacy ? 0 : generation
    default: return 0
    }
  }

  /// Writes a register.
  public func write(_ offset: UInt64, size: Int, _ value: UInt64) {
    guard let device else { return }
    if offset >= 0x100 {
      let start = offset &- 0x100
      guard start < UInt64(device.config.count) else { return }
      for index in 0..<min(size, 8) {
        device.writeConfig(
          Int(start) + index, UInt8(truncatingIfNeeded: value >> UInt64(8 * index)))
      }
      return
    }
    guard offset & 3 == 0, size == 4 || size == 8 else { return }
    writeRegister(device, offset, UInt32(truncatingIfNeeded: value))
    if size == 8 { write(offset &+ 4, size: 4, value >> 32) }
  }

  private func writeRegister(_ device: any VirtIODevice, _ offset: UInt64, _ value: UInt32) {
    switch offset {
    case 0x014: deviceFeaturesSel = value == 0 ? 0 : 1
    case 0x020: writeDriverFeatures(value)
    case 0x024: driverFeaturesSel = value == 0 ? 0 : 1
    case 0x030: if value < 1024 { selected = Int(value) }
    case 0x050: notify(device, value)
    case 0x064:
      interruptStatus &= ~value
      wire.set(interruptStatus != 0)
    case 0x070: writeStatus(device, UInt8(truncatingIfNeeded: value))
    default:
      if version == .legacy {
        writeLegacy(offset, value)
      } else if queues.indices.contains(selected) {
        writeModern(&queues[selected], offset, value)
      }
    }
  }

  private func writeDriverFeatures(_ value: UInt32) {
    if version == .legacy {
      if driverFeaturesSel == 0 {
        negotiated = VirtFeatures(rawValue: UInt64(value)).intersection(offered)
      }
    } else if driverFeaturesSel == 0 {
      driverFeatures = driverFeatures & ~0xffff_ffff | UInt64(value)
    } else {
      driverFeatures = driverFeatures & 0xffff_ffff | UInt64(value) << 32
    }
  }

  private func writeStatus(_ device: any VirtIODevice, _ value: UInt8) {
    if value == 0 {
      reset()
      return
    }
    var value = value & ~Self.needsReset | status & Self.needsReset
    if version == .modern, value & Self.featuresOK != 0, status & Self.featuresOK == 0 {
      let wanted = VirtFeatures(rawValue: driverFeatures)
      if offered.isSuperset(of: wanted) {
        negotiated = wanted
      } else {
        value &= ~Self.featuresOK
      }
    }
    status = value
  }

  private func writeLegacy(_ offset: UInt64, _ value: UInt32) {
    switch offset {
    case 0x028:
      let shift = UInt64(value.trailingZeroBitCount)
      pageShift = shift > 31 ? 0 : shift
      return
    case 0x040 where value == 0:
      reset()
      return
    default: break
    }
    guard queues.indices.contains(selected) else { return }
    switch offset {
    case 0x038: setSize(&queues[selected], value)
    case 0x03c:
      if value.nonzeroBitCount == 1 { queues[selected].align = UInt64(value) }
    case 0x040: queues[selected].frame = UInt64(value) << pageShift
    default: return
    }
    placeLegacyRings(&queues[selected])
  }

  private func setSize(_ entry: inout Queue, _ value: UInt32) {
    if value > 0, value <= VirtQueue.maxSize { entry.size = value }
  }

  /// Works out where the rings are from the frame number.
  private func placeLegacyRings(_ entry: inout Queue) {
    entry.queue.size = entry.size
    guard entry.frame != 0 else { return }
    let count = UInt64(entry.size)
    let available = entry.frame &+ 16 &* count
    entry.queue.descriptors = entry.frame
    entry.queue.available = available
    let end = available &+ 6 &+ 2 &* count
    entry.queue.used = (end &+ entry.align &- 1) & ~(entry.align &- 1)
    entry.queue.isReady = entry.size > 0
  }

  private func writeModern(_ entry: inout Queue, _ offset: UInt64, _ value: UInt32) {
    let low = UInt64(value)
    let high = UInt64(value) << 32
    switch offset {
    case 0x038: setSize(&entry, value)
    case 0x044:
      entry.queue.isReady = value != 0
      guard value != 0 else { return }
      entry.queue.size = entry.size
      entry.queue.descriptors = entry.descriptors
      entry.queue.available = entry.available
      entry.queue.used = entry.used
    case 0x080: entry.descriptors = entry.descriptors & ~0xffff_ffff | low
    case 0x084: entry.descriptors = entry.descriptors & 0xffff_ffff | high
    case 0x090: entry.available = entry.available & ~0xffff_ffff | low
    case 0x094: entry.available = entry.available & 0xffff_ffff | high
    case 0x0a0: entry.used = entry.used & ~0xffff_ffff | low
    case 0x0a4: entry.used = entry.used & 0xffff_ffff | high
    default: break
    }
  }

  private func notify(_ device: any VirtIODevice, _ queue: UInt32) {
    guard brokenReason == nil, Int(queue) < queues.count, queues[Int(queue)].queue.isReady else {
      return
    }
    device.notify(Int(queue), self)
  }

  /// Brings the transport and the device to their state at power-on.
  public func reset() {
    device?.reset()
    queues = Array(repeating: Queue(), count: queues.count)
    driverFeatures = 0
    negotiated = []
    selected = 0
    status = 0
    interruptStatus = 0
    brokenReason = nil
    wire.set(false)
  }

  // MARK: What the device asks

  /// Serves waiting chains of a queue.
  public func serve(_ index: Int, _ serve: (VirtIORequest) -> UInt64?) {
    guard brokenReason == nil, !serving, queues.indices.contains(index) else { return }
    serving = true
    defer { serving = false }
    do throws(VirtQueueError) {
      let waiting = try queues[index].queue.waiting(ram)
      var served = false
      for _ in 0..<waiting {
        let chain = try queues[index].queue.pop(ram, features: negotiated)
        guard let written = serve(VirtIORequest(chain: chain, ram: ram)) else {
          queues[index].queue.unpop()
          break
        }
        try queues[index].queue.push(ram, chain, written: written)
        served = true
      }
      guard served else { return }
      if try queues[index].queue.wantsInterrupt(ram, features: negotiated) { interrupt(1) }
    } catch {
      breakDown(error)
    }
  }

  private func interrupt(_ bits: UInt32) {
    interruptStatus |= bits
    wire.set(true)
  }

  private func breakDown(_ error: VirtQueueError) {
    brokenReason = error.reason
    guard negotiated.contains(.version1) else { return }
    let live = status & 4 != 0
    status |= Self.needsReset
    generation &+= 1
    if live { interrupt(2) }
  }

  // MARK: Snapshots

  func archive(_ archive: Archive) {
    let count = queues.count
    archive("brokenReason", &brokenReason)
    archive("queues", &queues)
    archive("deviceFeaturesSel", &deviceFeaturesSel)
    archive("driverFeaturesSel", &driverFeaturesSel)
    archive("driverFeatures", &driverFeatures)
    archive("negotiated", &negotiated)
    archive("pageShift", &pageShift)
    archive("selected", &selected)
    archive("status", &status)
    archive("interruptStatus", &interruptStatus)
    archive("generation", &generation)
    var state = device?.archivedState ?? []
    archive("", &state)
    archive.transient(["device", "version", "ram", "wire", "serving"])
    guard archive.isReading else { return }
    guard queues.count == count, pageShift < 32 else {
      return archive.fail("a device of \(queues.count) queues")
    }
    device?.archivedState = state
  }
}

extension VirtIOMMIO.Queue: Archived {
  static func placeholder(_ archive: Archive) -> VirtIOMMIO.Queue { VirtIOMMIO.Queue() }
  mutating func archive(_ archive: Archive) {
    archive("queue", &queue)
    archive("size", &size)
    archive("align", &align)
    archive("frame", &frame)
    archive("descriptors", &descriptors)
    archive("available", &available)
    archive("used", &used)
  }
}
