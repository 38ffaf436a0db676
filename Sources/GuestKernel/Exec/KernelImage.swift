import Engine
import Image

/// `images/kernel/<isa>.elf`: what of it goes where, and its symbols.
public final class KernelImage {
  /// The ELF file.
  public let elf: ELFFile
  /// Where it starts.
  public var entry: UInt64 { 0 }
  /// The first physical address behind it, on a page: where frames may begin.
  public var physicalEnd: UInt64 { 0 }
  /// Checks it: the machine, page alignment, no writable code.
  public init(_ bytes: [UInt8], isa: any KernelISA) throws(ELFError) {
    elf = try ELFFile(bytes, requirements: ELFRequirements(machine: isa.elfMachine))
  }
  /// Copies its segments to their physical addresses.
  public func load(into ram: PhysicalMemory) throws(ELFError) {}
  /// The value of a symbol (also absolute ones: `layout_task_flags`).
  public func symbol(_ name: String) -> UInt64? { nil }
  /// The function or object at or before an address.
  public func symbol(at address: UInt64) -> (name: String, offset: UInt64)? { nil }
}
