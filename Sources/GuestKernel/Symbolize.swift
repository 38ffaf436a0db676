import Image

extension Kernel {
  /// Whether a path leads to something, for the first program.
  public func exists(_ path: String) -> Bool {
    (try? vfs.resolve(Path(path), vfs.makeContext())) != nil
  }

  /// `name+0x10` for an address in the text of the current task's program.
  public func symbolize(_ pc: UInt64) -> String? {
    current?.space.flatMap { symbolize(pc, in: $0) }
  }

  /// `name+0x10` for an address in a mapped file.
  func symbolize(_ pc: UInt64, in space: AddressSpace) -> String? {
    guard let vma = space.vma(at: pc), let file = vma.file, file.inode.kind == .regular,
      file.inode.size < 1 << 28
    else { return nil }
    let offset = pc &- vma.start &+ vma.pageOffset &* 4096
    guard let bytes = contents(file), let elf = try? ELFFile(bytes) else { return nil }
    for segment in elf.header.loadable
    where offset >= segment.offset && offset &- segment.offset < segment.fileSize {
      let address = segment.address &+ (offset &- segment.offset)
      guard let found = elf.symbols.symbol(at: address) else { return nil }
      return found.symbol.name + "+0x" + String(found.offset, radix: 16)
    }
    return nil
  }

  private func contents(_ file: OpenFile) -> [UInt8]? {
    var bytes: [UInt8] = []
    while UInt64(bytes.count) < file.inode.size {
      guard
        let part = try? file.inode.read(
          at: UInt64(bytes.count), min(1 << 20, Int(file.inode.size) - bytes.count)),
        !part.isEmpty
      else { return nil }
      bytes += part
    }
    return bytes
  }
}
