import Engine
import Image

/// `images/kernel/<isa>.elf`: the guest's own kernel code, what of it goes where, and its symbols.
public final class KernelImage {
  /// The ELF file.
  public let elf: ELFFile

  /// Where the machine starts it.
  public var entry: UInt64 { elf.entry }
  /// The first physical address of it.
  public let physicalStart: UInt64
  /// The first physical address behind it, on a page: frames may begin there.
  public let physicalEnd: UInt64

  /// Checks it: made for the machine, its segments begin on pages, and nothing that is written is
  /// executed.
  public init(_ bytes: [UInt8], isa: any KernelISA) throws(ELFError) {
    elf = try ELFFile(
      bytes, requirements: ELFRequirements(machine: isa.elfMachine, memoryLimit: 1 << 30))
    let segments = elf.header.loadable.sorted { $0.physicalAddress < $1.physicalAddress }
    var end: UInt64 = 0
    for segment in segments {
      let place = "the kernel's segment at 0x\(String(segment.address, radix: 16))"
      guard (segment.address | segment.physicalAddress) & 4095 == 0 else {
        throw .malformed("\(place) does not begin on a page")
      }
      if segment.isWritable, segment.isExecutable {
        throw .malformed("\(place) is both writable and executable")
      }
      guard segment.address >= isa.userEnd else {
        throw .malformed("\(place) is in user space")
      }
      let (last, over) = segment.physicalAddress.addingReportingOverflow(segment.memorySize)
      guard !over, last <= UInt64.max - 4095, segment.physicalAddress >= end else {
        throw .malformed("\(place) overlaps another one in physical memory")
      }
      end = (last &+ 4095) & ~4095
    }
    physicalStart = segments.first?.physicalAddress ?? 0
    physicalEnd = end
  }

  /// Copies its segments to their physical addresses.
  ///
  /// - Throws: ``ELFError/malformed(_:)`` where RAM does not hold them.
  public func load(into ram: PhysicalMemory) throws(ELFError) {
    for segment in elf.header.loadable {
      let at = segment.physicalAddress
      guard ram.contains(at, segment.memorySize), ram.write(at, elf.contents(of: segment)) else {
        throw .malformed(
          "the kernel needs RAM at 0x\(String(at, radix: 16)), where this machine has none")
      }
      ram.zero(at &+ segment.fileSize, segment.memorySize &- segment.fileSize)
    }
  }

  /// The value of a symbol: an address, or a number such as `layout_task_flags`.
  public func symbol(_ name: String) -> UInt64? { elf.symbols.symbol(name)?.address }

  /// The function or object at or before an address of the image, and the distance from its start.
  public func symbol(at address: UInt64) -> (name: String, offset: UInt64)? {
    elf.symbols.symbol(at: address).map { ($0.symbol.name, $0.offset) }
  }

  /// The physical address of an address of the image.
  public func physical(_ va: UInt64) -> UInt64? {
    for segment in elf.header.loadable
    where va >= segment.address && va &- segment.address < segment.memorySize {
      return segment.physicalAddress &+ (va &- segment.address)
    }
    return nil
  }
}
