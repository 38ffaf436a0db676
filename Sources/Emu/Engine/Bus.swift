/// A device in the physical address space.
///
/// It has no clock but the machine's, and it never fails: what a register does not implement reads
/// as the device's own rule says.
public protocol Device: AnyObject {
  /// Reads `size` (1, 2, 4 or 8) bytes at `offset` from the start of the device's range.
  func read(_ offset: UInt64, size: Int) -> UInt64
  /// Writes the low `size` bytes of `value`.
  func write(_ offset: UInt64, size: Int, _ value: UInt64)
}

/// RAM and devices of a machine by physical address.
public final class Bus {
  /// The RAM.
  public let ram: PhysicalMemory
  private var regions: [Region] = []

  private struct Region {
    let base: UInt64
    let size: UInt64
    let device: any Device
  }

  /// A bus with RAM and no devices.
  public init(ram: PhysicalMemory) { self.ram = ram }

  /// Puts a device at `base ..< base + size`.
  ///
  /// The range must not overlap RAM or another device.
  public func attach(_ device: any Device, base: UInt64, size: UInt64) {
    precondition(size > 0 && base <= UInt64.max - size, "a device's range wraps")
    precondition(
      base &+ size <= ram.base || base >= ram.base &+ ram.size, "a device overlaps RAM")
    precondition(
      regions.allSatisfy { base &+ size <= $0.base || base >= $0.base &+ $0.size },
      "two devices overlap")
    regions.append(Region(base: base, size: size, device: device))
  }

  /// Whether a device answers at `pa`.
  public func hasDevice(_ pa: UInt64) -> Bool {
    regions.contains { pa &- $0.base < $0.size }
  }

  /// Reads from a device.
  ///
  /// `nil` where none answers.
  public func readDevice(_ pa: UInt64, size: Int) -> UInt64? {
    for region in regions where pa &- region.base < region.size {
      return region.device.read(pa &- region.base, size: size)
    }
    return nil
  }

  /// Writes to a device.
  ///
  /// `false` where none answers.
  public func writeDevice(_ pa: UInt64, size: Int, _ value: UInt64) -> Bool {
    for region in regions where pa &- region.base < region.size {
      region.device.write(pa &- region.base, size: size, value)
      return true
    }
    return false
  }
}
