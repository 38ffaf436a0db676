import Engine

/// Page tables of the kernel half: what every root table copies.
public struct KernelAddressSpace {
  /// Physical address of the root table.
  public let root: UInt64
  /// Image mapping with its permissions and the linear map of all RAM.
  public static func build(image: KernelImage, frames: PageAllocator, isa: any KernelISA)
    throws(Errno) -> KernelAddressSpace
  { throw .ENOSYS }
}
