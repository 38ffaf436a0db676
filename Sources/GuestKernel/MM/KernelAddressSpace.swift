import Engine
import Image

/// The kernel's half of every address space: the mapping of its image and the linear map of RAM.
///
/// - SeeAlso: Linux, `arch/riscv/mm/init.c`, `setup_vm_final`
public struct KernelAddressSpace {
  /// Physical address of the root table, whose upper half every root copies.
  public let root: UInt64

  private let frames: PageAllocator
  private let isa: any KernelISA

  /// Builds the tables: each segment of the image where it was linked, with its permissions; all RAM
  /// from `linearMapBase` on, for reading and writing, in pages as large as they come.
  ///
  /// - Throws: `ENOMEM`; `EINVAL` where a mapping does not lie in the kernel's half.
  public static func build(
    image: KernelImage, frames: PageAllocator, isa: any KernelISA
  ) throws(Errno) -> KernelAddressSpace {
    let space = KernelAddressSpace(root: try frames.allocate(), frames: frames, isa: isa)
    let ram = frames.ram
    try space.map(isa.linearMapBase, ram.base, ram.size, [.read, .write, .global])
    for segment in image.elf.header.loadable {
      var protection: PageProtection = [.read, .global]
      if segment.isWritable { protection.insert(.write) }
      if segment.isExecutable { protection.insert(.execute) }
      let start = segment.address & MM.pageMask
      try space.map(
        start, segment.physicalAddress & MM.pageMask,
        MM.pageAlign(segment.address &+ segment.memorySize) &- start, protection)
    }
    return space
  }

  private func entries(_ table: UInt64) -> UnsafeMutablePointer<UInt64> {
    frames.ram.willWrite(table)
    return frames.ram.pointer(table).assumingMemoryBound(to: UInt64.self)
  }

  private func shift(_ level: Int) -> UInt64 { UInt64(12 + 9 * level) }

  /// The first root entry of the kernel's half.
  private var firstKernelEntry: Int {
    let shift = shift(isa.pageTableLevels - 1)
    return Int(min((isa.userEnd &+ (1 << shift) &- 1) >> shift, 512))
  }

  private func map(
    _ va: UInt64, _ pa: UInt64, _ size: UInt64, _ protection: PageProtection
  ) throws(Errno) {
    let top = isa.pageTableLevels - 1
    guard va &+ size &- 1 >= va, size > 0,
      Int((va >> shift(top)) & 511) >= firstKernelEntry || firstKernelEntry >= 512
    else { throw .EINVAL }
    var done: UInt64 = 0
    while done < size {
      let level = largest(va &+ done, pa &+ done, size &- done, protection)
      let slot = try slot(va &+ done, level)
      slot.pointee = isa.kernelEntry(pa &+ done, protection, level: level)
      done &+= 1 << shift(level)
    }
  }

  /// The highest level with a page that fits, of those where the instruction set takes a leaf.
  private func largest(
    _ va: UInt64, _ pa: UInt64, _ left: UInt64, _ protection: PageProtection
  ) -> Int {
    var level = min(isa.pageTableLevels - 1, 2)
    while level > 0 {
      let size: UInt64 = 1 << shift(level)
      if (va | pa) & (size &- 1) == 0, left >= size {
        let entry = isa.kernelEntry(pa, protection, level: level)
        if case .leaf(pa, _, _, _) = isa.classify(entry, level: level) { return level }
      }
      level -= 1
    }
    return 0
  }

  private func slot(_ va: UInt64, _ level: Int) throws(Errno) -> UnsafeMutablePointer<UInt64> {
    var table = root
    var above = isa.pageTableLevels - 1
    while above > level {
      let slot = entries(table) + Int((va >> shift(above)) & 511)
      switch isa.classify(slot.pointee, level: above) {
      case .table(let next): table = next
      case .empty:
        let next = try frames.allocate()
        slot.pointee = isa.tableEntry(next)
        table = next
      case .leaf: throw .EINVAL
      }
      above -= 1
    }
    return entries(table) + Int((va >> shift(level)) & 511)
  }
}
